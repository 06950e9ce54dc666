"""Tests classifier/window.py."""

import pytest

from classifier.base import Prompt, Turn
from classifier.window import EARLIER_BYTES, EARLIER_TURNS, LAST_BYTES, window

# The most that is looked at: both ends of each part with a space between them, and a space around each part.
MOST_BYTES = 2 * LAST_BYTES + 3 + EARLIER_TURNS * (2 * EARLIER_BYTES + 2)


def talk(*texts: str) -> Prompt:
    """Return a conversation of user and assistant in turn that ends with the user."""
    roles = ["user" if i % 2 == 0 else "assistant" for i in range(len(texts))][:: 1 if len(texts) % 2 else -1]
    return Prompt(tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True)))


@pytest.mark.parametrize("unit", ["word ", "价", "é", "🙂", "\ud800", "?", " \n"])
@pytest.mark.parametrize("turns", [1, 7, 500])
def test_the_bytes_looked_at_are_capped_whatever_the_size(unit: str, turns: int) -> None:
    for count in (200, 700, 100_000):
        assert len(window(talk(*[unit * count] * turns)).text) <= MOST_BYTES


def test_head_and_tail_of_a_long_turn_are_seen() -> None:
    text = window(talk("first " + "x" * 10**6 + " last")).text
    assert text.startswith(b" first x")
    assert text.endswith(b"x last ")


def test_a_short_text_is_seen_whole_with_its_white_space_folded() -> None:
    assert window(talk("a\n\n b\t\tc")).text == b" a b c "


def test_a_short_last_turn_lets_earlier_ones_weigh_more() -> None:
    proposal = "I propose to compare both warranties and to add up the prices."
    agreed = window(talk("Help me choose.", proposal, "the second"))
    asked = window(talk("Help me choose.", proposal, "Where can I find the opening hours of your shop on Monday?"))
    assert agreed.earlier > 5 * asked.earlier
    assert proposal.encode() in agreed.text[agreed.split :]


def test_mere_agreement_is_looked_at_as_what_it_agrees_to() -> None:
    question, proposal = "Which of the two lamps has the longer warranty?", "Shall I look it up?"
    assert window(talk(question, proposal, "yes, do it")).text == window(talk(question, proposal, "继续")).text
    assert window(talk(question, proposal, "yes, do it")).text.startswith(f" {question} ".encode())
    plan = "I propose to compare both warranties and to add up the prices of the spare parts."
    assert window(talk("Hello!", plan, "ok")).text == f" {plan} Hello! ".encode()
    assert window(talk(question, "Here is the first part.", "continue", "The second.", "go on")).text.startswith(
        f" {question} ".encode()
    )


def test_agreement_to_nothing_is_looked_at_as_it_is() -> None:
    assert window(talk("ok")).text == b" ok "
    assert window(Prompt((Turn("system", "be brief"), Turn("user", "yes")))).text == b" yes "
    assert window(Prompt((Turn("assistant", ""), Turn("user", "yes")))).text == b" yes "


def test_the_last_user_turn_stands_first_although_a_tool_answered_since() -> None:
    turns = (Turn("user", "old"), Turn("user", "find it"), Turn("assistant", ""), Turn("tool", "result"))
    assert window(Prompt(turns)).text == b" find it result old "


def test_system_turns_are_left_out_unless_there_is_nothing_else() -> None:
    assert window(Prompt((Turn("system", "be brief"), Turn("user", "hi")))).text == b" hi "
    assert window(Prompt((Turn("system", "be brief"),))).text == b" be brief "


def test_no_text_at_all_is_an_empty_window() -> None:
    assert window(Prompt(())).text.strip() == b""
    assert window(Prompt((Turn("user", ""),))).text.strip() == b""
