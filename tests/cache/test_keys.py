"""Tests cache/keys.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.keys import WITHOUT_EFFECT, reply_key

SECRET = b"s" * 32
FIELDS = [("model", b'"auto"'), ("messages", b"[]"), ("stream_options", b"{}")]

names = st.text(max_size=6)
values = st.binary(max_size=12)
fields = st.lists(st.tuples(names, values), max_size=4, unique_by=lambda each: each[0])


def key(
    *,
    secret: bytes = SECRET,
    tenant: str = "acme",
    path: str = "/chat/completions",
    fields: list[tuple[str, bytes]] = FIELDS,
    policy: str = "threshold@1",
    tier: str = "mini",
) -> bytes:
    return reply_key(secret, tenant=tenant, path=path, fields=fields, policy=policy, tier=tier)


@given(st.text(min_size=1), st.text(min_size=1), names, fields, names, names)
def test_keys_of_two_tenants_are_never_equal(
    one: str, other: str, path: str, same: list[tuple[str, bytes]], policy: str, tier: str
) -> None:
    first = key(tenant=one, path=path, fields=same, policy=policy, tier=tier)
    second = key(tenant=other, path=path, fields=same, policy=policy, tier=tier)
    assert (first == second) == (one == other)


@given(names, names, names, names)
def test_bytes_moved_from_one_part_to_the_next_change_the_key(tenant: str, path: str, policy: str, tier: str) -> None:
    parts = ["t" + tenant, path, policy, tier]
    seen = {key(tenant=parts[0], path=path, policy=policy, tier=tier)}
    moved = 0
    for left in range(3):
        if parts[left + 1]:
            shifted = list(parts)
            shifted[left], shifted[left + 1] = parts[left] + parts[left + 1][0], parts[left + 1][1:]
            seen.add(key(tenant=shifted[0], path=shifted[1], policy=shifted[2], tier=shifted[3]))
            # Two moves may give the same four parts only when they are the same move.
            moved += 1
    assert len(seen) == 1 + moved


@given(st.text(st.characters(codec="ascii"), max_size=5), st.binary(min_size=1, max_size=5).filter(bytes.isascii))
def test_bytes_moved_from_a_value_to_its_name_change_the_key(name: str, value: bytes) -> None:
    shifted = (name + value[:1].decode(), value[1:])
    assert key(fields=[("x" + name, value)]) != key(fields=[("x" + shifted[0], shifted[1])])


@given(fields, fields)
def test_other_fields_make_another_key(one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]) -> None:
    seen = [{name: value for name, value in each if name not in WITHOUT_EFFECT} for each in (one, other)]
    assert (key(fields=one) == key(fields=other)) == (seen[0] == seen[1])


@given(st.data())
def test_the_order_of_fields_does_not_matter(data: st.DataObject) -> None:
    some = data.draw(fields)
    assert key(fields=data.draw(st.permutations(some))) == key(fields=some)


def test_of_a_repeated_field_the_order_matters() -> None:
    assert key(fields=[("n", b"1"), ("n", b"2")]) != key(fields=[("n", b"2"), ("n", b"1")])


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT))
def test_a_field_that_never_changes_the_answer_is_left_out(name: str) -> None:
    assert key(fields=[*FIELDS, (name, b'"x"')]) == key()


def test_stream_options_are_part_of_the_key() -> None:
    assert key(fields=[*FIELDS[:2], ("stream_options", b'{"include_usage":true}')]) != key()


@pytest.mark.parametrize("value", [b"1", b"1.0", b" 1"])
def test_values_count_byte_by_byte(value: bytes) -> None:
    assert (key(fields=[("temperature", value)]) == key(fields=[("temperature", b"1")])) == (value == b"1")


def test_another_secret_makes_another_key() -> None:
    assert key(secret=b"t" * 32) != key()


def test_without_a_tenant_there_is_no_key() -> None:
    with pytest.raises(ValueError, match="tenant is empty"):
        key(tenant="")


def test_half_a_surrogate_pair_makes_a_key_of_its_own() -> None:
    assert len({key(fields=[(name, b"1")]) for name in ("\ud800", "\udfff", "?", "")}) == 4


def test_a_key_has_32_bytes() -> None:
    assert len(key()) == 32
