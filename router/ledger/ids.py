"""The id of a request, as `router.endpoints.wire.new_id` makes it -> when it was made, and by which process.

Ids sort as the moments do in which they were made, so that a span of time is a span of them.
"""

from typing import Final

_MADE: Final = slice(4, 16)  # milliseconds since 1970, 12 hexadecimal digits
_MAKER: Final = slice(16, 26)  # `router.ledger.holding` says the same in SQL


def first_id(moment: float) -> str:
    """Return what no id is below that was made from a moment on, seconds since 1970."""
    return f"req_{max(0, int(moment * 1000)):0{_MADE.stop - _MADE.start}x}"


def made_at(identifier: str) -> float | None:
    """Return when an id was made, seconds since 1970; None where it is none of ours."""
    if not identifier.startswith("req_"):
        return None
    try:
        return int(identifier[_MADE], 16) / 1_000
    except ValueError:
        return None


def maker_of(identifier: str) -> str:
    """Return the part of an id that says which process made it."""
    return identifier[_MAKER]
