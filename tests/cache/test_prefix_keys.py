"""Tests cache/prefix_keys.py."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.prefix_keys import BEFORE, ENDS, FIRST, PLACES, keys_of
from classifier.base import Turn

roles = st.sampled_from(["system", "user", "assistant", "tool"])
turns = st.lists(st.builds(Turn, roles, st.text(max_size=12)), min_size=1, max_size=40)


def talk(*texts: str, system: str = "") -> list[Turn]:
    """Return a conversation in which user and assistant take turns."""
    lead = [Turn("system", system)] if system else []
    return [*lead, *(Turn("assistant" if at % 2 else "user", text) for at, text in enumerate(texts))]


@given(turns, st.text(max_size=6), st.lists(st.builds(Turn, roles, st.text(max_size=6)), max_size=3))
def test_a_later_request_names_the_whole_of_an_earlier_one(earlier: list[Turn], answer: str, added: list[Turn]) -> None:
    later = [*earlier, Turn("assistant", answer), *(turn for turn in added if turn.role != "assistant")]
    keys, before = keys_of("s", later), keys_of("s", earlier)
    assert before.names[-1] in keys.names[:-1]
    assert keys.sizes[keys.names.index(before.names[-1])] == before.sizes[-1]


def test_each_turn_of_a_long_conversation_finds_the_one_before() -> None:
    said = talk("hi", system="be kind")
    before = keys_of("s", said)
    for turn in range(60):
        said += [Turn("assistant", f"answer {turn}"), Turn("user", f"question {turn}")]
        keys = keys_of("s", said)
        assert keys.names.index(before.names[-1]) == len(keys.names) - 2
        assert keys.sizes[-2] == before.sizes[-1]
        before = keys


@given(turns, turns, st.text(max_size=4), st.text(max_size=4))
def test_two_salts_have_no_name_in_common(one: list[Turn], other: list[Turn], salt: str, its: str) -> None:
    names, theirs = set(keys_of(salt, one).names), set(keys_of(its, other).names)
    assert salt == its or names.isdisjoint(theirs)


@given(turns, st.integers(0, 39), st.text(max_size=12))
def test_what_is_said_differently_is_named_differently_from_there_on(said: list[Turn], at: int, text: str) -> None:
    at %= min(len(said), FIRST)
    if said[at].text == text:
        return
    changed = [*said[:at], Turn(said[at].role, text), *said[at + 1 :]]
    assert keys_of("s", said).names[-1] != keys_of("s", changed).names[-1]


def test_words_do_not_move_from_one_message_to_the_next_unseen() -> None:
    assert keys_of("s", talk("ab", "c")).names[-1] != keys_of("s", talk("a", "bc")).names[-1]
    assert keys_of("s", [Turn("user", "a")]).names != keys_of("s", [Turn("tool", "a")]).names


def test_a_shared_system_prompt_has_a_name_of_its_own() -> None:
    one, other = keys_of("s", talk("hi", system="be kind")), keys_of("s", talk("bye", system="be kind"))
    assert one.names[0] == other.names[0]
    assert one.names[1] != other.names[1]
    assert one.sizes == (7, 9)


def test_other_tools_make_another_conversation() -> None:
    said = talk("hi", system="be kind")
    with_tools = keys_of("s", said, frame=[b'[{"name":"f"}]'])
    assert set(with_tools.names).isdisjoint(keys_of("s", said).names)
    assert set(with_tools.names).isdisjoint(keys_of("s", said, frame=[b'[{"name":"g"}]']).names)
    assert keys_of("s", talk("hi"), frame=[b"[1]"]).names[0] == keys_of("s", talk("bye"), frame=[b"[1]"]).names[0]


@pytest.mark.parametrize("at", [0, ENDS - 1, -ENDS, -1])
def test_of_a_long_message_its_ends_count_and_its_length(at: int) -> None:
    text = "x" * 10_000
    changed = text[:at] + "y" + (text[at:][1:])
    whole = keys_of("s", talk(text)).names
    assert keys_of("s", talk(changed)).names != whole
    assert keys_of("s", talk(text + "x")).names != whole
    assert keys_of("s", talk(text[:5_000] + "y" + text[5_001:])).names == whole, "its middle is not read"


def test_of_a_long_conversation_the_latest_answers_have_names_and_its_end_counts() -> None:
    said = talk(*(f"message {at}" for at in range(201)), system="be kind")
    keys = keys_of("s", said)
    assert len(keys.names) == len(set(keys.names)) == PLACES + 2
    assert keys.sizes[-1] == sum(len(turn.text) for turn in said)
    for back in range(1, BEFORE + 1):
        changed = [*said[:-back], Turn(said[-back].role, "something else"), *said[len(said) - back + 1 :]]
        assert keys_of("s", changed).names[-1] != keys.names[-1]
    assert keys_of("s", said[:-2]).names[-1] == keys.names[-2], "and its turn before is found again"


def test_the_longest_conversation_costs_little() -> None:
    said = tuple(Turn("assistant" if at % 2 else "user", "x" * 5_000) for at in range(2_048))
    best = min(_seconds(said) for _ in range(5))
    assert best < 0.005, "of ten million characters"


def _seconds(said: tuple[Turn, ...]) -> float:
    began = time.process_time()
    keys_of("s", said)
    return time.process_time() - began
