"""Tests cache/addresses.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.addresses import Address, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address(host="cache")),
        ("redis://cache:7000/3", Address(host="cache", port=7000, database=3)),
        ("redis://:p%2Fw@cache/", Address(host="cache", password="p/w")),
        ("rediss://me:pw@cache", Address(host="cache", tls=True, username="me", password="pw")),
        ("redis://[::1]:7000", Address(host="::1", port=7000)),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        ("unix://:pw@/a%20b", Address(path="/a b", password="pw")),
    ],
)
def test_a_url_names_an_address(url: str, address: Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize("url", ["http://x", "cache:6379", "redis://x:port", "redis://x/one", "redis://x?timeout=9"])
def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="redis url has"):
        read_address(url)


@given(st.text(st.characters(categories=["L", "N"]), min_size=4))
def test_a_password_is_in_no_message(password: str) -> None:
    address = read_address(f"redis://:{password}%20xyzzy@cache")
    assert "xyzzy" not in repr(address)
    with pytest.raises(ValueError) as caught:
        read_address(f"redis://:xyzzy/{password}@cache:port")
    assert "xyzzy" not in str(caught.value)
    assert caught.value.__cause__ is None
