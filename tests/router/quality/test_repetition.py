"""Tests router/quality/repetition.py and what it is made of.

router/quality/tokens.py, router/quality/text_metrics.py, router/quality/loops.py, router/quality/prose.py
"""

import json
import zlib

import pytest

from router.quality.loops import counted_loops_in, loops_in
from router.quality.prose import parts_of
from router.quality.repetition import LONGEST, repetition_flag, repetition_of, repetitive_by_thresholds
from router.quality.text_metrics import comp_ratio, distinct_n, rep_n, tail_loop
from router.quality.tokens import clauses_in, tokens_of, words_in

PROSE = (
    "The harbour was quiet that morning, and only two boats had gone out before the fog came in. My aunt kept her"
    " receipts in a tin, because no drawer would lock. Water expands when it freezes, so pipes burst in winter. He"
    " never owned a car but knew each driver by name. Snow had closed the pass, and the mail went round by the lake. "
)
VERSES = (
    "The mill has stopped turning, the miller has gone.",
    "The geese have flown over, the winter is near.",
    "A lamp in the window, a coat on the chair.",
    "The river is frozen, the ferry is tied.",
)
SONG = "\n".join(f"{verse}\nCarry me home when the evening is long,\ncarry me home with a song." for verse in VERSES)
TABLE = "| day | open |\n|---|---|\n" + "| Monday | yes |\n| Tuesday | yes |\n" * 3
CODE = "```python\n" + "\n".join(f"def get_{name}(self):\n    return self.{name}" for name in "abcdefgh") + "\n```"


def test_words_marks_and_chinese_characters_are_tokens() -> None:
    assert tokens_of("It's 3.5, OK? 好的") == ["it's", "3", ".", "5", ",", "ok", "?", "好", "的"]
    assert (words_in("two words 四个汉字"), clauses_in("one, two. three"), clauses_in("")) == (4.0, 3, 1)


def test_figures_are_those_of_their_sources() -> None:
    tokens = "a b c d a b c d".split()
    assert rep_n(tokens) == pytest.approx(1 - 4 / 5)
    assert rep_n(tokens[:3]) == rep_n([]) == 0.0
    assert distinct_n(tokens, 1) == 0.5
    assert distinct_n([], 2) == comp_ratio("") == 0.0
    assert comp_ratio("海" * 50) == len("海".encode()) * 50 / len(zlib.compress(("海" * 50).encode()))


def test_a_loop_at_the_end_stands_there_three_times_and_has_24_tokens() -> None:
    assert tail_loop("a b c d e f g h".split() * 3) == 24
    assert tail_loop(["x", *"a b c d e f g h".split() * 3, "a", "b"]) == 26
    assert tail_loop("a b c d e f g h".split() * 2 + ["a"] * 7) == 0
    assert tail_loop([str(n) for n in range(65)] * 4) == 0  # a longer period is none


def test_loops_are_found_anywhere_and_their_end_may_be_half_a_word() -> None:
    period = "we will look at it again .".split()
    (loop, *_) = loops_in([*"this is the start".split(), *period * 5, "we", "wil"])
    assert (loop.start, loop.period, loop.is_last) == (4, 7, True)
    assert not any(loop.is_last for loop in loops_in([*period * 5, "and", "then", "it", "ended"]))


def test_a_counter_may_move_on_in_a_loop_and_other_numbers_may_not() -> None:
    steps = tokens_of("".join(f"Step {n}: check the value. " for n in range(7, 20)))
    assert any(loop.repeats > 12 for loop in counted_loops_in(steps))
    chinese = tokens_of("".join(f"第{n}步：检查数值。" for n in "一二三四五六七八九"))
    assert any(loop.repeats >= 9 for loop in counted_loops_in(chinese))
    down = tokens_of("".join(f"I have {n} pears and eat one. " for n in range(20, 7, -1)))
    assert any(loop.repeats > 12 for loop in counted_loops_in(down))
    degrees = (3, 9, 4, 4, 7, 1, 8, 2, 6)
    readings = tokens_of("".join(f"On day {n} it had {d} degrees. " for n, d in enumerate(degrees)))
    assert not list(counted_loops_in(readings))


def test_data_is_told_from_prose() -> None:
    parts = parts_of(f"{PROSE}\n{TABLE}\n{CODE}\nAnd this is the end.")
    assert "harbour" in parts.prose
    assert "Monday" not in parts.prose
    assert "return" not in parts.prose
    assert not parts.is_cut
    assert parts_of(f"{PROSE}\n```\nx = 1\n").is_cut
    assert parts_of('[{"a": 1}, {"a":').is_cut
    assert not parts_of(json.dumps([{"a": 1}])).is_cut
    assert parts_of("[sic] he said, and left").data.strip() == ""


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        SONG,
        TABLE,
        CODE,
        json.dumps([{"name": "x", "tags": [], "n": 0}] * 40),
        json.dumps([0] * 300),
        "\n".join(f"7 × {n} = {7 * n}" for n in range(1, 40)),
        "\n".join(f"{n}. {'ABCD'[n * 7 % 4]}" for n in range(1, 60)),
        "\n".join(f"The capital of {a}land is {b}ton." for a, b in zip("abcdefghijk", "nopqrstuvwx", strict=True)),
        "\n".join(f"第{n}天的气温是{n * 7 % 30}度。" for n in range(1, 30)),
        f"{PROSE}\n{'-' * 100}\nName: {'_' * 60}",
        f"{PROSE} No, no, no, no, no! 哈哈哈哈哈哈。",
        "A third is 0." + "3" * 60,
        "",
        " ",
        "yes " * 5,
    ],
)
def test_what_repeats_for_a_reason_is_no_loop(text: str) -> None:
    assert repetition_of(text).found == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PROSE + "I am not sure about that. " * 6, "tail_loop"),
        ((PROSE + "This is the very same answer again. " * 20)[:-5], "tail_loop"),
        ((PROSE + "\n\n") * 3, "tail_loop"),
        ("我不太清楚这件事情的经过。" * 4, "tail_loop"),
        ("好" * 200, "tail_loop"),
        (PROSE + "It is what it is, and so it goes. " * 12 + PROSE[:90], "loop"),
        ("".join(f"{n}. Improve the work of the team.\n" for n in range(1, 20)), "counted"),
        (" ".join(("The red one is on top.", "The blue one is below it.")[n * n % 7 % 2] for n in range(40)), "stale"),
        ("Well" + "a" * 300, "characters"),
        ("Well." + "\n" * 400, "characters"),
        ("Here it is:\n```\n" + "total = total + value\n" * 30, "cut"),
        ('{"rows": [' + '{"name": "x", "value": 0}, ' * 30, "cut"),
        (TABLE + "| Sunday | closed |\n" * 30, "cut"),
        ("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30, "cut"),
        ("It was " + "very " * 50 + "good, and then they went home.", "loop"),
        (" ".join(f"I have {n} pears and I will eat one." for n in range(30, 1, -1)), "counted"),
    ],
)
def test_a_loop_is_told_by_its_kind(text: str, found: str) -> None:
    seen = repetition_of(text)
    assert (seen.found != "", repetition_flag(text)) == (True, True)
    assert seen.found in (found, "tail_loop", "loop", "stale")


def test_a_long_string_inside_a_whole_document_is_prose() -> None:
    assert repetition_flag(json.dumps({"text": "I will help you with that. " * 30}))


def test_of_a_huge_text_the_end_is_looked_at() -> None:
    text = " ".join(f"word{n}" for n in range(100_000)) + " and so on" * 20
    seen = repetition_of(text)
    assert seen.flag
    assert seen.tokens < LONGEST
    assert not repetition_of(" and so on" * 20 + text[:-200][:1_000_000] + " the end").flag


@pytest.mark.parametrize("text", ["\ud800" * 40, "\x00" * 100, "a\u0301" * 500, "[" * 5_000, "```" * 99, "🎉" * 20])
def test_odd_text_is_no_mistake(text: str) -> None:
    assert 0.0 <= repetition_of(text).rep_4 <= 1.0


@pytest.mark.parametrize(
    ("text", "over", "is_loop"),
    [
        (PROSE, False, False),
        (SONG, True, False),
        ("I am not sure about that. " * 12, True, True),
        (CODE, False, False),
        (PROSE + TABLE, False, False),
        ("", False, False),
    ],
)
def test_the_usual_flag_is_told_beside_ours(text: str, over: bool, is_loop: bool) -> None:  # noqa: FBT001 - of the table
    found = repetition_of(text)
    assert (found.by_thresholds, found.flag) == (over, is_loop)
    assert repetitive_by_thresholds(text) == over
