"""File of a tenant's own prompts -> a slice for each tenant.

One JSON object a line, or parquet: a prompt or messages, and what is wanted of the reply: a text that it is or has in
it, a regular expression that it matches, a schema that it fits, or all of these. Where nothing is said, the incumbent
is asked twice: its first reply is what is wanted, and both its second one and the candidate's are compared with that,
so that a model that never says the same twice is no reason to refuse another.

A slice of rows without a tenant stands for all requests.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from classifier.base import Prompt, Turn
from classifier.regular_files import open_regular
from classifier.tables import TableError, read_rows
from router.certificate import Guards
from router.certifying.base import Case, FilesError, Mark, PatternTooSlow, Plan, Said, is_right, spoken
from router.certifying.matching import Matcher, Wanted
from router.certifying.suites.schemas import misfit
from router.certifying.suites.tools import parsed
from router.learning.grading import grade, plain

ANSWER_TOKENS: Final = 512
"""Where a row does not say how long an answer may be."""

_PASSED_ON: Final = ("max_tokens", "temperature", "response_format", "tools", "tool_choice", "stop")
"""Fields of a chat request that a row may have, and that both models get as they are."""

_COLUMNS: Final = ("prompt", "messages", "tenant", "expected", "regex", "schema", *_PASSED_ON)
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_WORD: Final = re.compile(r"\w+")
_ADVICE: Final = "write it so that no two of its repetitions can take the same text"
_FENCE: Final = re.compile(r"^```(?:json)?\s*(.*?)\s*```$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the file; the fields are those that a row may have."""

    line: int
    tenant: str
    messages: list[dict[str, Any]]
    expected: tuple[str, ...] = ()
    regex: str | None = None
    schema: dict[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


class OwnPrompts:
    """The suite.

    Args:
        path: of the file.
        matcher: tries what the file's patterns and schemas make of replies; the caller's.
        keep_text: reports may show prompts and replies.
    """

    name = "prompts"

    def __init__(self, path: Path, *, matcher: Matcher, keep_text: bool = False) -> None:
        self._path, self._matcher, self._keep_text = path, matcher, keep_text

    @property
    def data(self) -> str:
        """Return the file's digest."""
        with open_regular(self._path) as file:
            return f"file sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def plans(self) -> Sequence[Plan]:
        """Return one slice for each tenant, and one for rows that name none; of equal rows one counts."""
        different: dict[str, _Row] = {}
        try:
            for line, row in read_rows(self._path, columns=_COLUMNS):
                said = {name: row[name] for name in sorted(row) if name in _COLUMNS}
                different.setdefault(
                    json.dumps(said, sort_keys=True, default=str), _row(row, f"{self._path}:{line}", line)
                )
        except TableError as error:
            raise FilesError(str(error)) from error
        rows = list(different.values())
        return [
            self._plan(each, [row for row in rows if row.tenant == each]) for each in sorted({r.tenant for r in rows})
        ]

    def _plan(self, tenant: str, rows: Sequence[_Row]) -> Plan:
        return Plan(
            name=f"tenant:{tenant}" if tenant else "prompts",
            guards=Guards(tenant=tenant) if tenant else Guards(everything=True),
            cases=partial(_cases, rows, self._matcher),
            is_private=not self._keep_text,
        )


def _cases(rows: Sequence[_Row], matcher: Matcher, seed: int, count: int) -> Iterator[Case]:
    """Yield all rows, or as many as are wanted, in an order of their own."""
    for row in random.Random(f"prompts/{seed}").sample(rows, min(count, len(rows))):
        yield _case(row, matcher)


def _case(row: _Row, matcher: Matcher) -> Case:
    body = {"messages": row.messages, "max_tokens": ANSWER_TOKENS, **row.more}
    name = f"line {row.line}"
    if row.expected or row.regex is not None or row.schema is not None:
        return Case(name, (body,), partial(_check, row, matcher), wanted=" or ".join(row.expected))
    prompt = Prompt(tuple(Turn(str(each["role"]), _text(each.get("content"))) for each in row.messages))
    return Case(name, (body,), agrees=partial(_agrees, prompt))


def _check(row: _Row, matcher: Matcher, said: Sequence[Said]) -> Mark:
    text = said[0].text
    is_wanted = not row.expected or any(_stands_in(each, text) for each in row.expected)
    wishes: list[tuple[str, Wanted, str | None]] = []
    if row.regex is not None:
        wishes.append(("regex", row.regex, text))
    if row.schema is not None:
        wishes.append(("schema", row.schema, _json_in(text)))
    for name, wanted, seen in wishes:
        try:
            is_wanted = is_wanted and seen is not None and matcher.fits(wanted, seen)
        except PatternTooSlow:
            return Mark(0.0, fault=f"the {name} of line {row.line} took too long on a reply; {_ADVICE}")
    return is_right(is_wanted)


def _stands_in(expected: str, text: str) -> bool:
    """Tell whether a text is the expected one, or has it in it as words of its own."""
    wanted, said = plain(expected), plain(text)
    return bool(wanted) and re.search(rf"(?<![\w.]){re.escape(wanted)}(?!\w|\.\d)", said) is not None


def _json_in(text: str) -> str | None:
    """Return the JSON of a reply, without what fences it in; None where it is none."""
    fenced = _FENCE.match(text.strip())
    said = fenced[1] if fenced else text
    return None if parsed(said) is None and said.strip() != "null" else said


def _agrees(prompt: Prompt, wanted: Said, said: Said) -> Mark:
    """Return how much a reply says what was wanted: by its answer, or else by its words."""
    if wanted.calls or said.calls:
        return is_right(_called(wanted) == _called(said))
    graded = grade(prompt, large=wanted.text, mini=said.text)
    return Mark(_overlap(wanted.text, said.text) if graded is None else graded.weak_score)


def _called(said: Said) -> list[tuple[str, str]]:
    return sorted((name, json.dumps(parsed(written), sort_keys=True)) for name, written in said.calls)


def _overlap(wanted: str, said: str) -> float:
    """Return F1 of the words of two texts.

    Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1.
    """
    first, second = Counter(_WORD.findall(plain(wanted))), Counter(_WORD.findall(plain(said)))
    shared = (first & second).total()
    return 2 * shared / (first.total() + second.total()) if shared else 0.0


def _text(content: object) -> str:
    return content if isinstance(content, str) else ""


# --- reading ---------------------------------------------------------------------------------------


def _row(row: Mapping[str, Any], place: str, line: int) -> _Row:
    """Return a row of the file.

    Raises:
        FilesError: it lacks something, or something has another shape.
    """
    given = {name: value for name, value in row.items() if value is not None}
    for name in given.keys() - set(_COLUMNS):
        near = get_close_matches(name, _COLUMNS, n=1, cutoff=0.75)
        if near:
            raise FilesError(f"{place}:{name}: is no field of a prompt; did you mean {near[0]}?")
    tenant = given.get("tenant", "")
    if tenant and (not isinstance(tenant, str) or not _TENANT.fullmatch(tenant)):
        raise FilesError(f"{place}:tenant: is no tenant's name; letters, digits and . _ - are")
    _check_sendable(given, place)
    return _Row(
        line=line,
        tenant=tenant,
        messages=_messages(given, place),
        expected=_expected(given, place),
        regex=_regex(given, place),
        schema=_schema(given, place),
        more={name: given[name] for name in _PASSED_ON if name in given},
    )


def _check_sendable(given: Mapping[str, Any], place: str) -> None:
    """Raise where a field cannot be written as JSON in UTF-8, as with half of a surrogate pair."""
    for name in _COLUMNS:
        try:
            msgspec.json.encode(given.get(name))
        except (ValueError, OverflowError, RecursionError, TypeError) as error:
            raise FilesError(f"{place}:{name}: cannot be sent as JSON: {error}") from error


def _messages(given: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    if ("prompt" in given) == ("messages" in given):
        raise FilesError(f"{place}: has {'both' if 'prompt' in given else 'neither'} of prompt and messages; give one")
    if "prompt" in given:
        if not isinstance(given["prompt"], str) or not given["prompt"].strip():
            raise FilesError(f"{place}:prompt: is {_kind(given['prompt'])}; a text is expected")
        return spoken(given["prompt"])
    messages = given["messages"]
    are_messages = isinstance(messages, list) and all(
        isinstance(each, dict) and each.get("role") in _ROLES for each in messages
    )
    if not are_messages or not messages:
        raise FilesError(
            f"{place}:messages: is {_kind(messages)}; a list of messages with role and content is expected"
        )
    return list(messages)


def _expected(given: Mapping[str, Any], place: str) -> tuple[str, ...]:
    value = given.get("expected", ())
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    if not isinstance(texts, tuple) or not all(isinstance(each, str) and plain(each) for each in texts):
        raise FilesError(f"{place}:expected: is {_kind(value)}; a text or a list of texts is expected")
    return texts


def _regex(given: Mapping[str, Any], place: str) -> str | None:
    if "regex" not in given:
        return None
    try:
        return str(re.compile(given["regex"]).pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise FilesError(f"{place}:regex: is no regular expression: {error}") from error


def _schema(given: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    schema = given.get("schema")
    if schema is None:
        return None
    if not isinstance(schema, dict):
        raise FilesError(f"{place}:schema: is {_kind(schema)}; a JSON schema is expected")
    probes: tuple[object, ...] = ({}, [], "", 0)
    for probe in probes:
        fault = misfit(probe, schema)
        if fault.startswith("the schema cannot be used"):
            raise FilesError(f"{place}:schema: {fault.removeprefix('the schema ')}")
    return schema


def _kind(value: object) -> str:
    return "empty" if value in ("", [], ()) else type(value).__name__
