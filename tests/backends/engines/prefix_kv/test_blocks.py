"""Tests backends/engines/prefix_kv/blocks.py."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.engines.prefix_kv.blocks import Namespace, block_keys, bytes_of, open_block, pack_block

HERE = Namespace(model=b"weights", storage="float32/exact", adapter="", page=4, engine="transformers 5")
TOKENS = st.lists(st.integers(0, 2**32 - 1), max_size=40)


@given(TOKENS, TOKENS)
def test_a_longer_prompt_begins_with_the_keys_of_its_beginning(ids: list[int], more: list[int]) -> None:
    keys = block_keys(HERE, "salt", ids)
    assert len(keys) == len(ids) // 4
    assert block_keys(HERE, "salt", ids + more)[: len(keys)] == keys


@given(st.lists(st.integers(0, 1000), min_size=40, max_size=40), st.integers(0, 39))
def test_a_changed_token_changes_its_block_and_all_after_it_and_none_before(ids: list[int], place: int) -> None:
    keys = block_keys(HERE, "salt", ids)
    changed = block_keys(HERE, "salt", [*ids[:place], ids[place] + 1, *ids[place + 1 :]])
    assert [one == other for one, other in zip(keys, changed, strict=True)] == [i < place // 4 for i in range(10)]


@pytest.mark.parametrize(
    "change",
    [{"model": b"others"}, {"storage": "float32/int8"}, {"adapter": "a"}, {"page": 8}, {"engine": "transformers 6"}],
    ids=str,
)
def test_what_computes_other_numbers_has_other_keys(change: dict[str, object]) -> None:
    ids = list(range(64))
    elsewhere = block_keys(replace(HERE, **change), "salt", ids)  # type: ignore[arg-type] # a field and its value
    assert not set(block_keys(HERE, "salt", ids)) & set(elsewhere)


def test_no_byte_moves_from_one_part_of_a_namespace_to_the_next() -> None:
    assert replace(HERE, adapter="ab", engine="c").root("") != replace(HERE, adapter="a", engine="bc").root("")


@given(st.text(), st.text())
def test_only_one_salt_finds_what_it_kept(salt: str, other: str) -> None:
    ids = list(range(8))
    shared = set(block_keys(HERE, salt, ids)) & set(block_keys(HERE, other, ids))
    assert bool(shared) == (salt == other)


def test_a_salt_that_is_half_a_character_is_a_salt_of_its_own() -> None:
    assert block_keys(HERE, "\ud800", [1] * 4) != block_keys(HERE, "\ud801", [1] * 4)


def test_equal_blocks_at_two_places_have_two_keys() -> None:
    assert len(set(block_keys(HERE, "", [7] * 40))) == 10


def test_token_ids_are_the_same_bytes_on_every_machine() -> None:
    assert bytes_of([1, 0x01020304, 2**32 - 1]) == b"\1\0\0\0\4\3\2\1\xff\xff\xff\xff"


@given(TOKENS, st.binary(max_size=100))
def test_a_block_gives_its_content_back(ids: list[int], content: bytes) -> None:
    opened = open_block(pack_block(bytes_of(ids), content), bytes_of(ids), size=len(content))
    assert opened is not None
    assert bytes(opened) == content


@pytest.mark.parametrize(
    "value",
    [
        pack_block(bytes_of([1, 2, 4]), b"content"),
        pack_block(bytes_of([1, 2]), b"content"),
        pack_block(bytes_of([1, 2, 3]), b"contents"),
        pack_block(bytes_of([1, 2, 3]), b"conten"),
        b"kv0" + pack_block(bytes_of([1, 2, 3]), b"content")[3:],
        b"",
    ],
    ids=["other tokens", "fewer tokens", "longer", "shorter", "other layout", "nothing"],
)
def test_a_block_of_anything_else_is_not_opened(value: bytes) -> None:
    assert open_block(value, bytes_of([1, 2, 3]), size=7) is None
