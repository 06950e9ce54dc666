"""Tests backends/engines/distilling/examples.py: rows that are examples, and what is said of those that are none."""

from pathlib import Path
from typing import Any

import pytest

from backends.engines.distilling.base import ExamplesError, Message
from backends.engines.distilling.examples import FEWEST, examples_of, group_of, split

FILE = Path("answers.jsonl")


def read(*rows: dict[str, Any]) -> Any:
    return examples_of(enumerate(rows, 1), FILE)


def test_a_prompt_is_a_conversation_of_one_message() -> None:
    (example,) = read({"prompt": "What is new?", "answer": " Much. "})
    assert example.messages == (Message("user", "What is new?"),)
    assert (example.answer, example.is_simple) == (" Much. ", False)


def test_a_conversation_keeps_its_turns_and_the_text_of_its_parts() -> None:
    parts = [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]
    (example,) = read(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": parts},
            ],
            "answer": "Nothing.",
            "difficulty": "simple",
            "group": 7,
        }
    )
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "user"]
    assert example.messages[-1].text == "And\nnow?"
    assert (example.is_simple, example.group) == (True, "7")


PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "x"}, ":2:answer: is missing"),
        ({"answer": "x"}, ":2:prompt: is missing"),
        ({"prompt": "x", "answer": "  \n"}, ":2:answer: is empty"),
        ({"prompt": "x", "answer": 7}, ":2:answer: is int; write text"),
        ({"prompt": "", "answer": "x"}, ":2:prompt: is empty"),
        ({"prompt": ["x"], "answer": "x"}, ":2:prompt: is list"),
        ({"prompt": "\ud800", "answer": "x"}, ":2:prompt: holds half of a surrogate pair"),
        ({"prompt": "x", "answer": "x", "difficulty": "hard"}, ":2:difficulty: is 'hard'; write simple or complex"),
        ({"prompt": "x", "answer": "x", "group": " "}, ":2:group: is empty"),
        ({"messages": [], "answer": "x"}, ":2:messages: is no list of objects"),
        ({"messages": "x", "answer": "x"}, ":2:messages: is no list of objects"),
        ({"messages": [{"role": "tool", "content": "x"}], "answer": "x"}, ":2:messages: has the role 'tool'"),
        ({"messages": [{"role": "assistant", "content": "x"}], "answer": "x"}, ":2:messages: ends with the role"),
        ({"messages": [{"role": "user", "content": None}], "answer": "x"}, ":2:messages: is NoneType"),
        ({"messages": PICTURE, "answer": "x"}, ":2:messages: holds a part that is no text"),
    ],
)
def test_a_row_that_is_no_example_is_named_with_its_column(row: dict[str, Any], words: str) -> None:
    with pytest.raises(ExamplesError) as caught:
        read({"prompt": "fine", "answer": "fine"}, row)
    assert str(caught.value).startswith(f"{FILE}{words}")


def test_the_same_question_never_stands_on_both_sides_and_a_seed_splits_as_before() -> None:
    rows = [
        {"prompt": f"  Question {number % 60} ".upper() if number < 60 else f"question {number % 60}", "answer": "x"}
        for number in range(120)
    ]
    taught, asked = split(read(*rows), seed=3)
    assert len(taught) + len(asked) == 120
    assert not {example.group for example in taught} & {example.group for example in asked}
    assert 10 <= len(asked) <= 40
    assert split(read(*rows), seed=3) == (taught, asked)
    assert split(read(*rows), seed=4) != (taught, asked)


def test_too_few_examples_or_groups_are_refused() -> None:
    with pytest.raises(ExamplesError, match=f"there are 49 examples, and at least {FEWEST} are needed"):
        split(read(*[{"prompt": str(number), "answer": "x"} for number in range(FEWEST - 1)]), seed=0)
    with pytest.raises(ExamplesError, match="of too few groups"):
        split(read(*[{"prompt": str(number), "answer": "x", "group": "one"} for number in range(FEWEST)]), seed=0)


def test_who_says_what_is_part_of_a_group() -> None:
    assert group_of([Message("user", "A ")]) == group_of([Message("user", "a")])
    assert group_of([Message("user", "a")]) != group_of([Message("system", "a")])
