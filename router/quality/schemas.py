"""A schema and a value -> whether the one fits the other, in a time that is known before.

Whoever sends a request writes its schema, and validating holds the interpreter: a schema of a kilobyte that doubles
itself forty times, or one pattern, would stop the gateway for hours. So what it may take at most is added up first,
with each reference counted as what it stands for. A schema that is too heavy is none, as is one that cannot be read;
nothing is fetched.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

KEPT: Final = 64  # schemas
HEAVIEST: Final = 20_000  # parts of a schema, each as often as it may be looked at for one value
MOST_WORK: Final = 10_000_000  # such parts by characters of a value: a tenth of a second
LARGEST_PATTERN: Final = 1 << 18  # bytes that it is compiled to

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_AGAIN: Final = ("unevaluatedProperties", "unevaluatedItems")
_MORE: Final = 4  # by which these multiply what stands beside them: it is looked at again, at each level
_REPEATS: Final = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}", re.ASCII)


def fits(schema: object, value: object, *, size: int) -> bool | None:
    """Return whether a value fits a schema; None where there is none, or none that can be read or afforded.

    Args:
        size: characters of the value as it was written.
    """
    if not isinstance(schema, dict):
        return None
    written = json.dumps(schema, sort_keys=True)
    weight = _weight(written)
    if weight > HEAVIEST or weight * size > MOST_WORK:
        return None
    validator = _validator(written)
    return None if validator is None else bool(validator.is_valid(value))


def weight_of(schema: Mapping[str, Any]) -> float:
    """Return how many parts of a schema may be looked at for one value; infinite where that cannot be said."""
    return _Scales(schema).weigh(schema)


class _Scales:
    """Weighs the parts of one schema, each that is referred to once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[str, float] = {}

    def weigh(self, part: object) -> float:
        if isinstance(part, str):
            return 1.0
        if isinstance(part, list):
            return 1.0 + sum(map(self.weigh, part))
        if not isinstance(part, dict):
            return 1.0
        if part is not self._root and isinstance(part.get("$id", part.get("id")), str) and self._is_moved(part):
            return math.inf
        weight = 1.0 + sum(self.weigh(each) for each in part.values()) + sum(map(_pattern_weight, _patterns(part)))
        weight += sum(self._referred(part[name]) for name in _REFERENCES if isinstance(part.get(name), str))
        return weight * _MORE if any(name in part for name in _AGAIN) else weight

    def _is_moved(self, part: Mapping[str, Any]) -> bool:
        """Tell whether references within a part mean another document than the whole; `id` is of draft 4 alone."""
        return isinstance(part.get("$id"), str) or "draft-04" in str(self._root.get("$schema"))

    def _referred(self, reference: str) -> float:
        """Return the weight of what is referred to; what contains itself is looked at once for each value."""
        known = self._known.get(reference)
        if known is None:
            self._known[reference] = 1.0
            try:
                known = self._known[reference] = self.weigh(_target(self._root, reference))
            except LookupError:
                known = self._known[reference] = math.inf
        return known


def _target(root: object, reference: str) -> object:
    """Return what a pointer within the document leads to.

    Raises:
        LookupError: it leads nowhere, or is no pointer.
    """
    if reference not in ("#", "") and not reference.startswith("#/"):
        raise LookupError(reference)
    found: Any = root
    for step in reference.split("/")[1:]:
        if "%" in step or not isinstance(found, (dict, list)):
            raise LookupError(reference)
        name = step.replace("~1", "/").replace("~0", "~")
        found = found[name] if isinstance(found, dict) else found[_number(name)]
    return found


def _number(step: str) -> int:
    if not step.isdecimal() or len(step) > 9:  # noqa: PLR2004 - digits; no list is longer
        raise LookupError(step)
    return int(step)


def _patterns(part: Mapping[str, Any]) -> Iterator[str]:
    pattern, named = part.get("pattern"), part.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern
    if isinstance(named, dict):
        yield from named


def _pattern_weight(pattern: str) -> int:
    """Return about how many states a pattern has, each of which may be looked at for each character."""
    return len(pattern) + sum(int(most or least) for least, most in _REPEATS.findall(pattern))


@lru_cache(KEPT)
def _weight(schema: str) -> float:
    try:
        return weight_of(json.loads(schema))
    except RecursionError:
        return math.inf


@lru_cache(KEPT)
def _validator(schema: str) -> Any:  # noqa: ANN401 - a class of a package that is loaded late
    """Return what validates; None where the schema is none, or where nothing that validates is installed."""
    schemas = _load()
    if schemas is None:
        return None
    options = schemas.RegexOptions(size_limit=LARGEST_PATTERN)  # of those that take linear time
    try:
        return schemas.validator_for(json.loads(schema), pattern_options=options, offline=True)
    except ValueError:  # no schema, one that refers elsewhere, or a pattern that is too large
        return None


@lru_cache(1)
def _load() -> ModuleType | None:
    try:
        import jsonschema_rs  # noqa: PLC0415 - loaded with the first schema
    except ImportError:
        return None
    return jsonschema_rs
