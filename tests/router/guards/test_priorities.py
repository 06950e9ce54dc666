"""Tests of router/guards/priorities.py."""

import pytest

from router.base import BadRequest
from router.guards.priorities import HEADER, Priorities

PRIORITIES = Priorities({"shop": 5, "batch": -10, "desk": 0})


@pytest.mark.parametrize(
    ("tenant", "sent", "expected"),
    [
        ("shop", None, 5),
        ("shop", b"3", 3),
        ("shop", b" +5 ", 5),
        ("shop", b"100", 5),  # nobody gets ahead of others by a header
        ("batch", None, -10),
        ("batch", b"0", -10),
        ("batch", b"-100", -100),
        ("unknown", None, 0),
        ("unknown", b"1", 0),
    ],
)
def test_a_request_may_ask_for_less_than_its_tenant_has(tenant: str, sent: bytes | None, expected: int) -> None:
    assert PRIORITIES.of(tenant, {} if sent is None else {HEADER: sent}) == expected


@pytest.mark.parametrize(
    "sent", [b"", b"high", b"101", b"-101", b"1.0", b"0x1", b"1e1", b"--1", "１".encode(), b"9" * 5000]
)
def test_what_is_no_such_number_is_refused(sent: bytes) -> None:
    with pytest.raises(BadRequest, match="from -100 to 100") as caught:
        PRIORITIES.of("shop", {HEADER: sent})
    assert caught.value.param == "x-tandem-priority"
