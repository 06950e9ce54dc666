"""Tests classifier/pairs.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifier.base import Prompt, Turn
from classifier.pairs import Pair, PairsError, read_pairs


def row(number: int, **changes: object) -> dict[str, Any]:
    """Return a good row; Mini fails on every second; a change to ... leaves the column out."""
    good = {"prompt": f"q {number}", "strong_score": 1, "weak_score": number % 2, "group": f"g{number}"}
    return {column: value for column, value in (good | changes).items() if value is not ...}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl"


def test_a_good_file_gives_its_pairs_in_order(path: Path) -> None:
    pairs = read_pairs(written(path, [row(number) for number in range(60)]))
    assert len(pairs) == 60
    assert pairs[3] == Pair(Prompt((Turn("user", "q 3"),)), 1.0, 1.0, "g3")
    assert [pair.needs_large for pair in pairs[:2]] == [True, False]


def test_empty_lines_and_other_columns_are_passed_over(path: Path) -> None:
    written(path, [row(number, source="me") for number in range(60)])
    path.write_bytes(b"\n" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert len(read_pairs(path)) == 60


def test_messages_become_turns_with_their_text_parts(path: Path) -> None:
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": "yes"},
    ]
    rows = [row(number, prompt=..., messages=messages, tools=[{}, {}], max_tokens=9) for number in range(60)]
    turns = (Turn("user", "a\nb"), Turn("assistant", ""), Turn("user", "yes"))
    assert read_pairs(written(path, rows))[0].prompt == Prompt(turns, 2, 9)


FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "no prompt": ({"prompt": ...}, "prompt: is missing"),
    "a prompt that is a number": ({"prompt": 7}, "prompt: is int"),
    "messages that are text": ({"messages": "hello"}, "messages: is no list"),
    "no strong score": ({"strong_score": ...}, "strong_score: is missing"),
    "a weak score that is null": ({"weak_score": None}, "weak_score: is missing"),
    "NaN": ({"weak_score": float("nan")}, "weak_score: is nan; write a number from 0 to 1"),
    "infinity": ({"weak_score": float("inf")}, "weak_score: is inf"),
    "a percentage": ({"strong_score": 87}, "strong_score: is 87"),
    "a boolean": ({"strong_score": True}, "strong_score: is True"),
    "a score in words": ({"strong_score": "good"}, "strong_score: is good"),
    "no group": ({"group": ...}, "group: is missing"),
    "a group that is a list": ({"group": []}, "group: is list"),
    "tools that are a number": ({"tools": 3}, "tools: is int"),
    "a limit in words": ({"max_tokens": "few"}, "max_tokens: is str"),
}


@pytest.mark.parametrize(("changes", "words"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_row_is_named_by_line_and_column(path: Path, changes: dict[str, object], words: str) -> None:
    rows = [row(number) for number in range(60)]
    rows[16] = row(16, **changes)
    with pytest.raises(PairsError, match=rf"pairs\.jsonl:17:{words}"):
        read_pairs(written(path, rows))


@pytest.mark.parametrize("line", [b"{", b"\xff{}", b"[1]", b"7", b"[" * 100_000])
def test_a_line_that_is_no_object_is_named(path: Path, line: bytes) -> None:
    path.write_bytes(json.dumps(row(1)).encode() + b"\n" + line)
    with pytest.raises(PairsError, match=r"pairs\.jsonl:2: is "):
        read_pairs(path)


def test_fewer_than_fifty_rows_are_refused(path: Path) -> None:
    with pytest.raises(PairsError, match="holds 49 rows; fitting needs at least 50"):
        read_pairs(written(path, [row(number) for number in range(49)]))


def test_one_class_only_is_refused(path: Path) -> None:
    with pytest.raises(PairsError, match=r"weak_score: one class only, no row has a weak_score below 0\.5"):
        read_pairs(written(path, [row(number, weak_score=1) for number in range(60)]))


def test_too_few_groups_of_a_class_are_refused(path: Path) -> None:
    rows = [
        row(number, weak_score=0 if number < 20 else 1, group=number % 4 if number < 20 else number)
        for number in range(60)
    ]
    with pytest.raises(PairsError, match=r"group: 4 groups have rows with a weak_score below 0\.5"):
        read_pairs(written(path, rows))


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"absent\.jsonl: cannot be read: No such file"):
        read_pairs(tmp_path / "absent.jsonl")
