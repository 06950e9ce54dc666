"""What the models refused -> faults, with place, plain words and the nearest known name.

No fault quotes a value. Messages that a validator wrote itself are searched for secrets all the same, since
options from outside may be less careful.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router.config.document import Document, Note, Place, Steps, nameable
from router.config.kinds import OUTSIDE, outside_kind
from router.config.models import Config

_PLAIN: Final = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be a mapping of keys to values"),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    "string_type": "must be text; put it in quotes",
    "path_type": "must be the path of a file",
    "none_required": "must be empty",
}
_UNIONS: Final[frozenset[Steps]] = frozenset(
    {("policy",), ("backends", "large"), ("backends", "mini"), ("backends", "embeddings")}
)
_CHOICES: Final = ("literal_error", "enum", "union_tag_invalid")
_WRITTEN_BY_VALIDATORS: Final = ("value_error", "assertion_error")
_SECRET_KEY: Final = re.compile(r"key|secret|password|token|url|sha256", re.IGNORECASE)
_QUOTED: Final = re.compile(r"'([^']{3,})'|\"([^\"]{3,})\"")
_HIDDEN: Final = "..."
_SHORTEST_SECRET: Final = 4  # characters; what is shorter also stands in ordinary words


class Wording:
    """Tells in words what is wrong with the values of one document."""

    def __init__(
        self,
        document: Document,
        values: Mapping[str, object],
        *,
        secrets: set[str],
        root: type[BaseModel] = Config,
        unions: frozenset[Steps] = _UNIONS,
    ) -> None:
        """Take what was written, what it became, and what came from the environment.

        Args:
            root: the model that refused the values.
            unions: where a kind is chosen by `use`.
        """
        self._document, self._values = document, values
        self._root, self._unions = root, unions
        found = secrets | set(_secrets_in(values))
        self._secrets = sorted((text for text in found if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)

    def notes_on(self, error: ValidationError) -> list[Note]:
        """Return one note for each thing that the models refused."""
        return [self._note(details) for details in error.errors(include_url=False)]

    def _note(self, details: ErrorDetails) -> Note:
        kind, context = details["type"], details.get("ctx", {})
        steps = self._written(context.get("at", details["loc"]))
        if kind == "extra_forbidden":
            return self._unknown_key(steps)
        if kind == "missing":
            place = self._document.key_place_of(steps[:-1])
            return Note(place, steps, "is missing", "add it")
        if kind == "union_tag_not_found":
            return Note(self._document.key_place_of(steps), (*steps, "use"), "is missing", "it chooses the kind")
        if kind in _CHOICES:
            return self._unknown_choice(details, steps)
        return Note(self._place(steps), steps, self._said(details))

    def _unknown_key(self, steps: Steps) -> Note:
        name = nameable(steps[-1])
        known = _known_names(self._root, steps[:-1], self._values)
        nearest = get_close_matches(name or "", known, n=1)
        others = f"known are {', '.join(known)}" if known else ""
        suggestion = f"did you mean `{nearest[0]}`?" if nearest else others
        return Note(self._document.key_place_of(steps), steps, "unknown key", suggestion)

    def _unknown_choice(self, details: ErrorDetails, steps: Steps) -> Note:
        context, given = details["ctx"], details["input"]
        if details["type"] == "union_tag_invalid":
            given, steps = given.get("use"), (*steps, "use")
        choices = re.findall(r"'([^']+)'", str(context.get("expected", context.get("expected_tags", ""))))
        nearest = get_close_matches(given, choices, n=1) if isinstance(given, str) else []
        suggestion = f"did you mean {nearest[0]}?" if nearest else ""
        return Note(self._place(steps), steps, f"must be one of {', '.join(choices)}", suggestion)

    def _said(self, details: ErrorDetails) -> str:
        kind, message = details["type"], details["msg"]
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind in _WRITTEN_BY_VALIDATORS:
            message = message.partition(", ")[2]
        message = message.replace("Input should ", "must ").replace("String should ", "must ")
        return self._without_secrets(message[:1].lower() + message[1:])

    def _without_secrets(self, message: str) -> str:
        for secret in self._secrets:
            message = message.replace(secret, _HIDDEN)
        return _QUOTED.sub(self._hidden_part, message)

    def _hidden_part(self, quoted: re.Match[str]) -> str:
        part = (quoted[1] or quoted[2]).lower()
        return f"'{_HIDDEN}'" if any(part in secret.lower() for secret in self._secrets) else quoted[0]

    def _place(self, steps: Steps) -> Place:
        return self._document.place_of(steps)

    def _written(self, location: tuple[str | int, ...]) -> Steps:
        """Return a location without the names of kinds, which the models add and nobody wrote."""
        steps: Steps = ()
        value: object = self._values
        is_kind = False
        for step in location:
            if not is_kind:
                steps = (*steps, step)
                value = _inside(value, step)
            use = value.get("use") if isinstance(value, dict) else None
            is_kind = not is_kind and steps in self._unions and isinstance(use, str) and not OUTSIDE.fullmatch(use)
        return steps


def _known_names(root: type[BaseModel], steps: Steps, values: Mapping[str, object]) -> list[str]:
    """Return the keys that may stand in the mapping at these steps; none where its model cannot be found."""
    kind: type[BaseModel] | None = root
    kinds: list[type[BaseModel]] = [root]
    value: object = values
    for step in steps:
        value = _inside(value, step)
        if isinstance(step, str) and kind is not None and step in kind.model_fields:
            kinds = list(_kinds_in(kind.model_fields[step].annotation))
        kind = _chosen_of(kinds, value)
    return [] if kind is None else list(kind.model_fields)


def _kinds_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds_in(part)


def _chosen_of(kinds: list[type[BaseModel]], value: object) -> type[BaseModel] | None:
    use = value.get("use") if isinstance(value, dict) else None
    if isinstance(use, str) and OUTSIDE.fullmatch(use):
        return outside_kind(use)
    with_use = [kind for kind in kinds if "use" in kind.model_fields]
    chosen = [kind for kind in with_use if use in get_args(kind.model_fields["use"].annotation)]
    return next(iter(chosen or kinds), None)


def _inside(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    return None


def _secrets_in(value: object, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets_in(inner, secret=_SECRET_KEY.search(key) is not None)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets_in(inner, secret=secret)
    elif secret and isinstance(value, str):
        yield value
