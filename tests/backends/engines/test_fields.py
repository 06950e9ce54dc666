"""Tests backends/engines/fields.py: a field that is not honoured asks for nothing, or is refused."""

import pytest
from msgspec import Raw

from backends.engines.base import Refused
from backends.engines.fields import HARMLESS, NEUTRAL, check_idle


@pytest.mark.parametrize(
    ("name", "value"),
    [("tools", b"[]"), ("tool_choice", b'"none"'), ("min_tokens", b"0"), ("modalities", b'[ "text" ]'), ("x", b"null")],
)
def test_what_asks_for_nothing_passes(name: str, value: bytes) -> None:
    check_idle(name, Raw(value))
    for each in HARMLESS:
        check_idle(each, Raw(b'{"any": "thing"}'))


@pytest.mark.parametrize("value", [b'"\xff"', b'{"a"', b"[1]", b"{}", b'"x"', b"[" * 100_000])
def test_what_asks_for_something_is_refused_by_its_name(value: bytes) -> None:
    for name in (*NEUTRAL, "no_such_field"):
        with pytest.raises(Refused, match=name) as caught:
            check_idle(name, Raw(value))
        assert caught.value.param == name
