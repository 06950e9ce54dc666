"""Bytes of a body -> the JSON object they spell, or one clear refusal.

Stricter than JSON parsers are: no repeated names, no NaN, no numbers beyond 64 bits, no lone surrogates,
bounded depth and size, so that no backend can read the same bytes in another way than we did.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable

from router.base import BadRequest

MAX_DEPTH = 64
MAX_NAMES = 10_000
_INT64 = 1 << 63

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19

Document = dict[str, object]


class DocumentReader:
    """Reads one body at a time.

    Attributes:
        saw_watched: the last document has one of the watched names somewhere.
    """

    def __init__(self, watched: Iterable[str] = ()) -> None:
        """Take the names to watch for: while each object is at hand, that costs next to nothing."""
        self.saw_watched = False
        self._watched = frozenset(watched)
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._distinct, parse_float=_finite, parse_constant=_no_constant
        )
        self._bounding = json.JSONDecoder(
            object_pairs_hook=self._distinct, parse_int=_int64, parse_float=_finite, parse_constant=_no_constant
        )

    def read(self, body: bytes) -> Document:
        """Return the object.

        Raises:
            BadRequest: with the code `invalid_json`, `invalid_unicode`, `duplicate_key`, `json_too_deep`,
                `too_many_keys` or `invalid_value`.
        """
        self.saw_watched = False
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"the body is not UTF-8: byte {error.start}", code="invalid_unicode") from error
        # Numbers are looked at one by one only where a run of digits is long enough to leave 64 bits.
        decoder = self._decoder if body.translate(_DIGITS).find(_LONG_NUMBER) < 0 else self._bounding
        try:
            document = decoder.decode(text)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            raise BadRequest(f"the body is not JSON: {error.msg.lower()} at {where}", code="invalid_json") from error
        except RecursionError:
            raise _too_deep() from None
        if not isinstance(document, dict):
            raise BadRequest("the body must be a JSON object", code="invalid_type")
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH or body.count(b":") > MAX_NAMES:
            _measure(document)
        if body.find(b"\\u") >= 0:  # `in` would first try the bytes as a number, at five times the price
            _without_lone_surrogates(text, document)
        return document

    def _distinct(self, pairs: list[tuple[str, object]]) -> Document:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise BadRequest(f"the name {twice[:80]!a} stands twice in one object", code="duplicate_key")
        if not self._watched.isdisjoint(found):
            self.saw_watched = True
        return found


def _int64(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _INT64  # noqa: PLR2004  (longer is out of range whatever it says)
    if not -_INT64 <= number < _INT64:
        raise BadRequest(f"a number is beyond 64 bits: {digits[:20]}...", code="invalid_value")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadRequest(f"a number is beyond double precision: {digits[:20]}", code="invalid_value")
    return number


def _no_constant(name: str) -> object:
    raise BadRequest(f"the body is not JSON: {name} is no JSON value", code="invalid_json")


def _measure(document: Document) -> None:
    """Refuse too many names and too deep nesting; level by level, so that depth costs no stack."""
    level: list[object] = [document]
    depth = names = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        below: list[object] = []
        for value in level:
            children: Iterable[object] = ()
            if isinstance(value, dict):
                names += len(value)
                children = value.values()
            elif isinstance(value, list):
                children = value
            below += [child for child in children if isinstance(child, (dict, list))]
        if names > MAX_NAMES:
            raise BadRequest(f"the body has more than {MAX_NAMES} names", code="too_many_keys")
        level = below


def _too_deep() -> BadRequest:
    return BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels", code="json_too_deep")


def _without_lone_surrogates(text: str, document: Document) -> None:
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadRequest("a text holds half a surrogate pair", code="invalid_unicode") from error
