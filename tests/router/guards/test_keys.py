"""Tests of router/guards/keys.py."""

import hashlib

import pytest

from router.base import BadRequest, Unauthorized
from router.guards.keys import MAX_HEADER, Keys

KEY = b"tk-0123456789abcdef"
OTHERS_KEY = b"tk-fedcba9876543210"
KEYS = Keys({hashlib.sha256(KEY).digest(): "shop", hashlib.sha256(OTHERS_KEY).digest(): "desk"})


def head(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"localhost"), *((b"authorization", value) for value in values), (b"accept", b"*/*")]


def test_the_tenant_is_that_of_the_key() -> None:
    assert KEYS.tenant_of(head(b"Bearer " + KEY)) == "shop"
    assert KEYS.tenant_of(head(b"Bearer " + OTHERS_KEY)) == "desk"


@pytest.mark.parametrize("scheme", [b"bearer ", b"BEARER ", b"Bearer   "])
def test_a_scheme_may_be_written_in_any_case(scheme: bytes) -> None:
    assert KEYS.tenant_of(head(scheme + KEY)) == "shop"


def test_without_configured_keys_everybody_is_the_default_tenant() -> None:
    open_gateway = Keys({})
    assert open_gateway.tenant_of(head()) == "default"
    assert open_gateway.tenant_of(head(b"Bearer whatever an SDK insists on")) == "default"


REFUSED = {
    "no header": head(),
    "empty header": head(b""),
    "scheme only": head(b"Bearer"),
    "scheme and blank": head(b"Bearer "),
    "scheme and blanks": head(b"Bearer     "),
    "another scheme": head(b"Basic " + KEY),
    "no scheme": head(KEY),
    "no blank after the scheme": head(b"Bearer" + KEY),
    "tab after the scheme": head(b"Bearer\t" + KEY),
    "unknown key": head(b"Bearer tk-unknown"),
    "near miss at the end": head(b"Bearer " + KEY[:-1] + b"0"),
    "near miss in case": head(b"Bearer " + KEY.upper()),
    "a key and more": head(b"Bearer " + KEY + b" " + KEY),
    "a list of keys": head(b"Bearer " + KEY + b", " + OTHERS_KEY),
    "half a key": head(b"Bearer " + KEY[:8]),
    "the digest itself": head(b"Bearer " + hashlib.sha256(KEY).hexdigest().encode()),
    "raw digest": head(b"Bearer " + hashlib.sha256(KEY).digest()),
    "non-ASCII": head("Bearer schlüssel".encode()),
    "latin-1": head("Bearer schlüssel".encode("latin-1")),
    "NUL inside": head(b"Bearer " + KEY + b"\x00"),
    "60 kB": head(b"Bearer " + b"k" * 60_000),
    "SQL": head(b"Bearer ' OR 1=1 --"),
    "an unknown x-api-key": [(b"x-api-key", b"tk-unknown")],
    "x-api-key with a scheme": [(b"x-api-key", b"Bearer " + KEY)],
    "empty x-api-key": [(b"x-api-key", b"")],
    "x-api-key of 60 kB": [(b"x-api-key", b"k" * 60_000)],
    "unknown in both headers": [(b"x-api-key", b"tk-unknown"), (b"authorization", b"Bearer tk-unknown")],
    "only a cookie": [(b"cookie", b"authorization=Bearer " + KEY)],
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unauthorized) as unknown:
        KEYS.tenant_of(head(b"Bearer unknown"))
    with pytest.raises(Unauthorized) as refused:
        KEYS.tenant_of(headers)
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert str(refused.value) == str(unknown.value)


def test_a_revoked_key_is_one_that_is_unknown() -> None:
    after = Keys({hashlib.sha256(OTHERS_KEY).digest(): "desk"})
    with pytest.raises(Unauthorized):
        after.tenant_of(head(b"Bearer " + KEY))


@pytest.mark.parametrize("second", [b"Bearer " + KEY, b"Bearer " + OTHERS_KEY, b""])
def test_two_authorization_headers_are_a_bad_request(second: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        KEYS.tenant_of(head(b"Bearer " + KEY, second))
    assert (refused.value.status, refused.value.code) == (400, "duplicate_authorization")


def test_a_key_may_come_as_x_api_key_and_in_both_headers_where_it_is_the_same() -> None:
    assert KEYS.tenant_of([(b"x-api-key", KEY)]) == "shop"
    assert KEYS.tenant_of([(b"x-api-key", KEY), *head(b"Bearer " + KEY)]) == "shop"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", OTHERS_KEY), *head(b"Bearer " + KEY)],
        [(b"x-api-key", KEY), *head(b"Basic " + KEY)],
        [(b"x-api-key", KEY), (b"x-api-key", KEY)],
        [(b"x-api-key", KEY), *head(b"Bearer " + KEY, b"Bearer " + KEY)],
    ],
)
def test_two_keys_are_a_bad_request_even_if_one_of_them_is_known(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadRequest) as refused:
        KEYS.tenant_of(headers)
    assert (refused.value.status, refused.value.code) == (400, "duplicate_authorization")


@pytest.mark.parametrize("key", ["schlüssel-0123456789".encode(), b"k" * MAX_HEADER])
def test_a_key_outside_the_limits_is_refused_even_if_its_digest_were_known(key: bytes) -> None:
    with pytest.raises(Unauthorized):
        Keys({hashlib.sha256(key).digest(): "shop"}).tenant_of(head(b"Bearer " + key))


def test_no_digest_of_emptiness_ever_names_a_tenant() -> None:
    careless = Keys({hashlib.sha256(b"").digest(): "nobody"})
    for header in (b"", b"Bearer", b"Bearer ", b"Basic x"):
        with pytest.raises(Unauthorized):
            careless.tenant_of(head(header))


def test_a_ring_that_changes_outside_changes_nothing_here() -> None:
    ring = {hashlib.sha256(KEY).digest(): "shop"}
    keys = Keys(ring)
    ring.clear()
    with pytest.raises(Unauthorized):
        keys.tenant_of(head())
