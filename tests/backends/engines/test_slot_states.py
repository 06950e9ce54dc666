"""Tests backends/engines/slot_states.py: what is found, by whom, and what never is."""

import random
from pathlib import Path

import pytest

from backends.engines.prefix_kv.blocks import Namespace, block_keys
from backends.engines.prefix_kv.break_even import TRIAL_EVERY
from backends.engines.slot_states import BLOCK, FETCH_WITHIN, SlotStates, digest_of
from tests.backends.engines.kv_in_memory import KvInMemory

IDS = list(range(5 * BLOCK + 10))
FILE = b"what llama.cpp wrote" * 100


def states_of(
    store: KvInMemory,
    *,
    model: bytes = b"model",
    storage: str = "f16",
    version: str = "1",
    adapters: dict[str, bytes] | None = None,
) -> SlotStates:
    return SlotStates(store, model=model, storage=storage, version=version, adapters=adapters or {})


@pytest.fixture
def store() -> KvInMemory:
    filled = KvInMemory()
    states_of(filled, adapters={"polite": b"p"}).keep(IDS, FILE, salt="ann", adapter="")
    return filled


def test_another_engine_finds_what_was_kept(store: KvInMemory) -> None:
    states = states_of(store)
    assert states.fetch(IDS, salt="ann", adapter="", held=0.0) == FILE
    assert states.gauges()["slot_states_fetched_total"] == 1


def test_any_prompt_that_begins_alike_finds_it(store: KvInMemory) -> None:
    for alike in (BLOCK, 3 * BLOCK + 7, len(IDS)):
        ids = [*IDS[:alike], *range(9000, 9500)]
        assert states_of(store).fetch(ids, salt="ann", adapter="", held=0.0) == FILE
    assert states_of(store).fetch([*IDS[: BLOCK - 1], *range(9000, 9500)], salt="ann", adapter="", held=0.0) is None
    assert states_of(store).fetch(IDS[: BLOCK - 1], salt="ann", adapter="", held=0.0) is None


def test_nobody_else_finds_it(store: KvInMemory) -> None:
    polite = {"polite": b"p"}
    for states, salt, adapter in (
        (states_of(store), "bob", ""),
        (states_of(store), "", ""),
        (states_of(store, adapters=polite), "ann", "polite"),
        (states_of(store, model=b"other"), "ann", ""),
        (states_of(store, storage="q8_0"), "ann", ""),
        (states_of(store, version="2"), "ann", ""),
    ):
        assert states.fetch(IDS, salt=salt, adapter=adapter, held=0.0) is None
        assert states.gauges()["slot_states_missed_total"] == 1


def test_an_adapter_of_the_same_name_and_other_numbers_is_another() -> None:
    store = KvInMemory()
    states_of(store, adapters={"a": b"1"}).keep(IDS, FILE, salt="", adapter="a")
    assert states_of(store, adapters={"a": b"2"}).fetch(IDS, salt="", adapter="a", held=0.0) is None
    assert states_of(store, adapters={"a": b"1"}).fetch(IDS, salt="", adapter="a", held=0.0) == FILE


def test_a_value_that_was_touched_anywhere_is_a_miss(store: KvInMemory) -> None:
    chance = random.Random(5)
    for key, value in list(store.values.items()):
        places = {0, len(value) - 1, *(chance.randrange(len(value)) for _ in range(10))}
        for place in places:
            store.values[key] = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
            assert states_of(store).fetch(IDS, salt="ann", adapter="", held=0.0) in (None, FILE)
        store.values[key] = value
    state = max(store.values, key=lambda key: len(store.values[key]))
    whole = store.values[state]
    for foul in (b"", b"x", whole[:-1], whole + b"x", whole[:10], bytes(len(whole))):
        store.values[state] = foul
        states = states_of(store)
        assert states.fetch(IDS, salt="ann", adapter="", held=0.0) is None
        assert states.gauges()["slot_states_refused_total"] == 1


def test_a_value_that_was_put_under_another_key_is_a_miss(store: KvInMemory) -> None:
    other = KvInMemory()
    states_of(other).keep([7] * 200, b"a file of somebody else", salt="ann", adapter="")
    (theirs,) = [value for value in other.values.values() if b"somebody" in value]
    for key in store.values:
        if len(store.values[key]) > len(FILE):
            store.values[key] = theirs
    assert states_of(store).fetch(IDS, salt="ann", adapter="", held=0.0) is None


def test_two_prompts_of_one_key_are_told_apart_by_their_tokens(
    store: KvInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = block_keys(Namespace(model=b"model", storage="f16", adapter="", page=BLOCK, engine="1"), "ann", IDS)
    monkeypatch.setattr("backends.engines.slot_states.block_keys", lambda *_: theirs)
    assert states_of(store).fetch(IDS, salt="ann", adapter="", held=0.0) == FILE
    states = states_of(store)
    assert states.fetch([7, *IDS[1:]], salt="ann", adapter="", held=0.0) is None
    assert states.gauges()["slot_states_refused_total"] == 1


def test_what_a_slot_holds_already_is_not_looked_for(store: KvInMemory) -> None:
    reads = store.reads
    assert states_of(store).fetch(IDS, salt="ann", adapter="", held=1.0) is None
    assert store.reads == reads


def test_a_slow_store_costs_fifty_milliseconds_and_no_more(store: KvInMemory) -> None:
    store.delay = 10.0
    states = states_of(store)
    assert states.fetch(IDS, salt="ann", adapter="", held=0.0) is None
    assert store.reads == 1
    assert FETCH_WITHIN <= 0.05


def test_only_what_is_news_is_worth_keeping(store: KvInMemory) -> None:
    states = states_of(store)
    assert states.is_worth_keeping(IDS, salt="ann", adapter="")
    states.fetch(IDS, salt="ann", adapter="", held=0.0)
    assert not states.is_worth_keeping(IDS, salt="ann", adapter="")
    assert not states.is_worth_keeping([*IDS, *range(BLOCK)], salt="ann", adapter="")
    assert states.is_worth_keeping([*IDS, *range(2 * BLOCK)], salt="ann", adapter="")
    assert states.is_worth_keeping(IDS, salt="bob", adapter="")
    assert not states.is_worth_keeping(IDS[:100], salt="bob", adapter="")


def test_what_the_store_has_lost_is_kept_again(store: KvInMemory) -> None:
    states = states_of(store)
    states.fetch(IDS, salt="ann", adapter="", held=0.0)
    state = max(store.values, key=lambda key: len(store.values[key]))
    del store.values[state]
    assert states.fetch(IDS, salt="ann", adapter="", held=0.0) is None
    assert states.is_worth_keeping(IDS, salt="ann", adapter="")
    states.keep(IDS, FILE, salt="ann", adapter="")
    store.values.clear()
    states.fetch(IDS, salt="ann", adapter="", held=0.0)
    assert states.is_worth_keeping(IDS, salt="ann", adapter="")


def test_what_computes_faster_than_it_is_fetched_is_computed(store: KvInMemory) -> None:
    states = states_of(store)
    states.saw_computed(1000, 0.001)
    states.saw_restored(len(FILE), 0.04)
    found = [states.fetch(IDS, salt="ann", adapter="", held=0.0) for _ in range(TRIAL_EVERY)]
    assert found[:-1] == [None] * (TRIAL_EVERY - 1)
    assert found[-1] == FILE  # one is tried all the same
    assert states.gauges()["slot_states_not_worth_total"] == TRIAL_EVERY - 1


def test_what_is_fetched_faster_than_computed_is_fetched(store: KvInMemory) -> None:
    states = states_of(store)
    states.saw_computed(1000, 1.0)
    states.saw_restored(len(FILE), 0.002)
    assert states.fetch(IDS, salt="ann", adapter="", held=0.0) == FILE
    gauges = states.gauges()
    assert gauges["slot_states_break_even_bytes_per_token"] == pytest.approx(len(FILE) / 0.002 * 0.001)


def test_a_state_that_is_too_large_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.engines.slot_states.LARGEST", len(FILE) - 1)
    store = KvInMemory()
    states = states_of(store)
    states.keep(IDS, FILE, salt="", adapter="")
    assert not store.values
    assert states.gauges()["slot_states_too_large_total"] == 1


def test_two_models_have_two_digests(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(bytes(100_000))
    two.write_bytes(bytes(99_999) + b"\1")
    assert digest_of(one) != digest_of(two)
    two.write_bytes(bytes(100_001))
    assert digest_of(one) != digest_of(two)
    two.write_bytes(bytes(100_000))
    assert digest_of(one) == digest_of(two)
