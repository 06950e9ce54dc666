"""What is left of a tenant's limits -> the headers that clients of OpenAI's API read.

Times are written as that API writes them: 250ms, 8.64s, 6m0s.
"""

from router.base import Remaining


def limit_headers(remaining: Remaining) -> list[tuple[bytes, bytes]]:
    """Return the headers; none where nothing is limited."""
    head: list[tuple[bytes, bytes]] = []
    if remaining.requests is not None:
        head += (
            (b"x-ratelimit-limit-requests", b"%d" % remaining.requests),
            (b"x-ratelimit-remaining-requests", b"%d" % remaining.requests_left),
            (b"x-ratelimit-reset-requests", _span(remaining.requests_reset)),
        )
    if remaining.tokens is not None:
        head += (
            (b"x-ratelimit-limit-tokens", b"%d" % remaining.tokens),
            (b"x-ratelimit-remaining-tokens", b"%d" % remaining.tokens_left),
            (b"x-ratelimit-reset-tokens", _span(remaining.tokens_reset)),
        )
    return head


def _span(seconds: float) -> bytes:
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds, 2), 60)
    whole = b"%dm" % minutes if minutes else b""
    return whole + f"{rest:.2f}".rstrip("0").rstrip(".").encode() + b"s"
