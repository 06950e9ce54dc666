"""Tests cache/holders.py; what its figures do to replicas and tiers is simulated in tests/router."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.base import NOTHING_HELD, PrefixKeys
from cache.holders import ENTRY_BYTES, PROVEN, SHARED_FROM, TTL, Holders
from cache.prefix_keys import keys_of
from classifier.base import Turn

ROOM = 1 << 20
SYSTEM = Turn("system", "be kind " * 100)


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def asked(*texts: str, salt: str = "s", system: Turn = SYSTEM) -> PrefixKeys:
    turns = [system, *(Turn("assistant" if at % 2 else "user", text) for at, text in enumerate(texts))]
    return keys_of(salt, turns)


def answered(holders: Holders, keys: PrefixKeys, replica: str, *, tokens: int = 400, cached: int | None = 0) -> None:
    holders.learn(keys, holders.holder(keys), replica, prompt_tokens=tokens, cached_tokens=cached)


def test_the_next_turn_is_held_by_who_answered_the_last() -> None:
    holders = Holders(ROOM)
    assert holders.holder(asked("hi")) == NOTHING_HELD
    answered(holders, asked("hi"), "a:1", tokens=200)
    held = holders.holder(asked("hi", "hello", "and now?"))
    assert (held.replica, held.depth) == ("a:1", 2)
    assert held.share == pytest.approx((800 + 2) / (800 + 2 + 5 + 8))
    assert held.prompt_tokens == int(200 * 815 / 802)
    assert holders.stats().misses == 1


def test_what_several_hold_is_nobodys() -> None:
    holders = Holders(ROOM)
    answered(holders, asked("one"), "a:1")
    assert holders.holder(asked("two")).replica == "a:1", "the system prompt alone"
    answered(holders, asked("two"), "b:1")
    held = holders.holder(asked("three"))
    assert (held.replica, held.depth) == ("", 1)
    assert holders.holder(asked("two", "yes", "more")).replica == "b:1", "but its conversations are somebody's"
    assert holders.stats().moved == 1


def test_what_many_go_on_from_becomes_everybodys() -> None:
    holders = Holders(ROOM)
    for at in range(SHARED_FROM):
        answered(holders, asked(f"question {at}"), "a:1")
        assert holders.holder(asked("another")).replica == "a:1"
    answered(holders, asked("one more"), "a:1")
    assert holders.holder(asked("another")).replica == ""
    assert holders.holder(asked("one more", "yes", "more")).replica == "a:1"


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_two_tenants_never_share(texts: list[str]) -> None:
    holders = Holders(ROOM)
    answered(holders, asked(*texts, salt="one"), "a:1")
    assert holders.holder(asked(*texts, salt="one")).replica == "a:1"
    assert holders.holder(asked(*texts, salt="two")) == NOTHING_HELD


def test_two_tenants_never_share_where_their_names_collide() -> None:
    holders = Holders(ROOM)
    one, two = PrefixKeys("one", (1, 2), (10, 20)), PrefixKeys("two", (1, 2), (10, 20))
    answered(holders, one, "a:1")
    assert holders.holder(two) == NOTHING_HELD
    answered(holders, two, "b:1")
    assert holders.holder(two).replica == "b:1"
    assert holders.holder(one) == NOTHING_HELD


def test_far_fewer_cached_tokens_than_expected_correct_what_is_held() -> None:
    holders = Holders(ROOM)
    answered(holders, asked("hi"), "a:1", tokens=1_000)
    before = holders.holder(asked("hi", "hello", "1")).share
    answered(holders, asked("hi", "hello", "1"), "a:1", tokens=1_100, cached=0)
    after = holders.holder(asked("hi", "hello", "1", "one", "2")).share
    assert before > 0.9
    assert after < 0.55
    assert holders.stats().corrected == 1
    answered(holders, asked("hi", "hello", "1", "one", "2"), "a:1", tokens=1_200, cached=1_100)
    assert holders.holder(asked("hi", "hello", "1", "one", "2", "two", "3")).share > after, "and it is told of return"


def test_a_server_that_never_reports_a_cached_token_is_preferred_to_none() -> None:
    holders = Holders(ROOM)
    for turn in range(40):
        texts = [f"{at}" for at in range(2 * turn + 1)]
        answered(holders, asked(*texts), "a:1", tokens=500 + turn, cached=0)
    assert holders.holder(asked(*(f"{at}" for at in range(81)))).share < 0.01
    fresh = Turn("system", "another")
    answered(holders, asked("hi", system=fresh), "a:1", tokens=300)
    assert holders.holder(asked("hi", "yes", "?", system=fresh)).share < 0.2, "also in its other conversations"


def test_tokens_count_as_cached_once_reports_have_shown_it() -> None:
    holders = Holders(ROOM)
    texts = ["hi"]
    for turn in range(PROVEN + 1):
        assert holders.holder(asked(*texts)).tokens == 0
        answered(holders, asked(*texts), "a:1", tokens=500 + 10 * turn, cached=490 + 10 * turn if turn else 0)
        texts += ["yes", "more"]
    assert holders.holder(asked(*texts)).tokens == 500 + 10 * PROVEN


def test_a_server_that_does_not_say_what_was_cached_is_never_priced_as_if_it_did() -> None:
    holders = Holders(ROOM)
    texts = ["hi"]
    for _ in range(10):
        answered(holders, asked(*texts), "a:1", cached=None)
        texts += ["yes", "more"]
    held = holders.holder(asked(*texts))
    assert (held.replica, held.tokens) == ("a:1", 0)


def test_a_conversation_without_a_character_is_held_too() -> None:
    holders = Holders(ROOM)
    said = [Turn("user", "")]
    answered(holders, keys_of("s", said), "a:1")
    assert holders.holder(keys_of("s", said)).replica == "a:1"
    assert holders.holder(keys_of("s", [*said, Turn("assistant", ""), Turn("user", "and?")])).replica == "a:1"


def test_short_prompts_prove_nothing() -> None:
    holders = Holders(ROOM)
    for _ in range(20):
        answered(holders, asked("hi"), "a:1", tokens=30, cached=0)
    assert holders.stats().corrected == 0
    assert holders.holder(asked("hi")).share == 1.0


def test_a_beginning_is_forgotten_some_time_after_its_last_use() -> None:
    clock = Clock()
    holders = Holders(ROOM, clock=clock)
    answered(holders, asked("hi"), "a:1")
    clock.now += TTL - 1
    assert holders.holder(asked("hi")).replica == "a:1"
    clock.now += 1
    assert holders.holder(asked("hi")) == NOTHING_HELD
    answered(holders, asked("hi"), "b:1")
    assert holders.holder(asked("hi")).replica == "b:1", "an old holder does not make it shared"


def test_what_is_too_old_gives_its_bytes_back() -> None:
    clock = Clock()
    holders = Holders(ROOM, clock=clock)
    for name in range(100):
        answered(holders, PrefixKeys("s", (name,), (1,)), "a:1")
    clock.now += TTL
    for name in range(100, 120):
        answered(holders, PrefixKeys("s", (name,), (1,)), "a:1")
    assert holders.stats().held == 20


def test_what_was_not_used_for_longest_goes_first() -> None:
    holders = Holders(2 * ENTRY_BYTES)
    first, second, third = (PrefixKeys("s", (name,), (1,)) for name in (1, 2, 3))
    for keys in (first, second, first, third):
        answered(holders, keys, "a:1")
    assert [holders.holder(keys).depth for keys in (first, second, third)] == [1, 0, 1]
    assert holders.stats().evicted == 1


def converse(holders: Holders, conversations: int, *, first: int = 0) -> None:
    for at in range(first, first + conversations):
        keys = PrefixKeys("s", (hash(("system", at % 7)), hash((1, at))), (800, 900))
        answered(holders, keys, "replica:1", tokens=300 + at % 977, cached=at % 13)


def test_a_hundred_thousand_conversations_stay_within_the_bytes_they_were_given() -> None:
    most = 4 << 20
    holders = Holders(most)
    converse(holders, 100_000)
    stats = holders.stats()
    assert 0.99 * most < stats.bytes <= most
    assert stats.held + stats.evicted == 100_000 + 7


def test_what_is_counted_is_what_it_takes() -> None:
    most = 2 << 20
    tracemalloc.start()
    try:
        holders = Holders(most)
        taken = 0
        for first in range(0, 20_000, 500):
            converse(holders, 500, first=first)
            taken = max(taken, tracemalloc.get_traced_memory()[0])
            assert taken <= max(holders.stats().bytes * 1.05, 1 << 19)
    finally:
        tracemalloc.stop()
    assert taken > most / 2, "and not far more"


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from("ab"), st.integers(0, 900)), max_size=40)
)
def test_whatever_is_reported_shares_stay_between_nothing_and_all(steps: list[tuple[int, int, str, int]]) -> None:
    holders = Holders(6 * ENTRY_BYTES)
    for root, whole, replica, cached in steps:
        keys = PrefixKeys("s", (root, 100 + whole), (5, 5 + whole))
        held = holders.holder(keys)
        assert 0.0 <= held.share <= 1.0
        assert 0 <= held.tokens <= held.prompt_tokens
        answered(holders, keys, replica, tokens=500, cached=cached)
    assert holders.stats().held <= 6


def test_every_answer_is_counted_once() -> None:
    holders = Holders(ROOM)
    for at, replica in enumerate(itertools.islice(itertools.cycle("aab"), 30)):
        answered(holders, asked("hi", *["x", "y"] * (at % 3)), replica, tokens=300, cached=300)
    stats = holders.stats()
    assert stats.hits + stats.moved + stats.misses == 30
    assert stats.matched_tokens == 300 * stats.hits
