"""Tests of router/endpoints/limit_headers.py, and of refusals in router/endpoints/errors.py."""

import msgspec
import pytest

from router.base import RateLimited, Remaining
from router.endpoints.errors import wire_error
from router.endpoints.limit_headers import limit_headers

BOTH = Remaining(60, 150_000, 59, 149_984, 1.0, 360.0)


def test_headers_are_spelt_as_openai_spells_them() -> None:
    assert limit_headers(BOTH) == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"150000"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
    ]
    assert limit_headers(Remaining()) == []
    assert [name for name, _ in limit_headers(Remaining(tokens=5))] == [
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-tokens",
    ]


@pytest.mark.parametrize(
    ("seconds", "spelt"),
    [
        (0.0, b"0ms"),
        (0.0064, b"6ms"),
        (0.25, b"250ms"),
        (8.64, b"8.64s"),
        (20.0, b"20s"),
        (60.0, b"1m0s"),
        (61.5, b"1m1.5s"),
    ],
)
def test_times_are_spelt_as_openai_spells_them(seconds: float, spelt: bytes) -> None:
    assert dict(limit_headers(Remaining(requests=1, requests_reset=seconds)))[b"x-ratelimit-reset-requests"] == spelt


def test_a_refusal_says_when_to_come_again_and_whether_that_can_help() -> None:
    for retryable, code in ((True, "rate_limit_exceeded"), (False, "insufficient_quota")):
        error = wire_error(
            RateLimited("no", limit="requests", code=code, retry_after=3.4, remaining=BOTH, retryable=retryable)
        )
        head = dict(error.headers)
        assert error.status == 429
        assert head[b"retry-after"] == b"3"
        assert head.get(b"x-should-retry") == (None if retryable else b"false")
        assert head[b"x-ratelimit-remaining-requests"] == b"59"
        assert msgspec.json.decode(error.body)["error"] == {
            "message": "no",
            "type": "rate_limit_error",
            "param": None,
            "code": code,
        }
