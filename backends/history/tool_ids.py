"""Ids of tool calls -> ids that a model takes, and the way back.

Equal ids give equal ones in every request, process and replica, with nothing kept in between: what a prompt spells
must not change from one turn to the next, or its KV would be lost.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

LENGTH: Final = 9
"""Characters that Mistral's ids have."""

_TAKEN_AS_IS: Final = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LONGEST_KEY: Final = 64  # bytes that the hash takes


def nine_characters(ids: Iterable[str], *, key: str) -> dict[str, str]:
    """Return for each id one of nine letters and digits, no two of them the same.

    Args:
        key: whose ids these are; others' ids tell nothing of theirs.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    for name in dict.fromkeys(ids):
        if _TAKEN_AS_IS.fullmatch(name):
            found[name] = name
        else:
            others.append(name)
    given = set(found)
    for name in others:
        attempt = 0
        while (short := _digest(name, key, attempt)) in given:
            attempt += 1
        found[name] = short
        given.add(short)
    return found


def way_back(rewritten: Mapping[str, str]) -> dict[bytes, str]:
    """Return the ids that callers know by those that were put in their place; none for those that stayed."""
    return {short.encode(): name for name, short in rewritten.items() if short != name}


def _digest(name: str, key: str, attempt: int) -> str:
    said = f"{attempt}:{name}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(said, digest_size=16, key=key.encode()[:_LONGEST_KEY]).digest(), "big")
    digits: list[str] = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)
