"""Tests classifier/pairs.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifier.base import Prompt, Turn
from classifier.pairs import Pair, PairsError, check_disjoint, read_labelled, read_pairs

arrow = pytest.importorskip("pyarrow")  # of the extra [fit]
parquet = pytest.importorskip("pyarrow.parquet")


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
    assert pairs[3] == Pair(Prompt((Turn("user", "q 3"),)), 1.0, 1.0, "g3", line=4)
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
    of_request = {"tools": [{}, {}], "max_tokens": 9, "tenant": "acme"}
    turns = (Turn("user", "a\nb"), Turn("assistant", ""), Turn("user", "yes"))
    (pair,) = read_labelled(written(path, [row(0, prompt=..., messages=messages, **of_request)]))
    assert pair.prompt == Prompt(turns, 2, 9, "acme")


def test_a_limit_that_a_table_wrote_as_a_float_is_whole(path: Path) -> None:
    assert read_labelled(written(path, [row(0, max_tokens=512.0)]))[0].prompt.max_tokens == 512


def test_a_row_may_say_where_it_comes_from_in_any_column(path: Path) -> None:
    rows = [row(0, source="desk"), row(1, task=3), row(2, task=None)]
    assert [pair.source for pair in read_labelled(written(path, rows))] == ["desk", "", ""]
    assert [pair.source for pair in read_labelled(path, by="task")] == ["", "3", ""]


def test_a_ready_score_is_read_where_it_is_asked_for(path: Path) -> None:
    written(path, [row(0, mine=-3.5), row(1, mine=12)])
    assert [pair.score for pair in read_labelled(path)] == [None, None]
    assert [pair.score for pair in read_labelled(path, score_column="mine")] == [-3.5, 12.0]


def test_rows_for_looking_at_may_be_few_and_of_one_class(path: Path) -> None:
    assert len(read_labelled(written(path, [row(1), row(3)]))) == 2


def test_conflicting_rows_of_one_question_are_allowed(path: Path) -> None:
    rows = [row(0, weak_score=score) for score in (0, 1, 0.5)]
    assert [pair.weak_score for pair in read_labelled(written(path, rows))] == [0.0, 1.0, 0.5]


def test_parquet_is_read_as_json_lines_are(path: Path, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]
    rows = [
        row(0, source="s", messages=None, max_tokens=None),
        row(1, prompt=None, messages=messages, source=None, max_tokens=7),
    ]
    table = tmp_path / "pairs.parquet"
    parquet.write_table(arrow.Table.from_pylist(rows), table)
    assert read_labelled(table) == read_labelled(written(path, rows))
    assert read_labelled(table)[0].line == 1


def test_a_fault_in_parquet_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    parquet.write_table(arrow.table({"prompt": ["a", "b"], "strong_score": [1.0, float("nan")]}), path)
    with pytest.raises(PairsError, match=r"pairs\.parquet:1:group: is missing"):
        read_labelled(path)
    columns = {"prompt": ["a", "b"], "strong_score": [1.0, float("nan")], "weak_score": [1.0, 1.0], "group": [1, 2]}
    parquet.write_table(arrow.table(columns), path)
    with pytest.raises(PairsError, match=r"pairs\.parquet:2:strong_score: is nan; write a number from 0 to 1"):
        read_labelled(path)


def test_a_file_that_cannot_be_read_as_rows_is_an_error_of_pairs(path: Path) -> None:
    path.write_bytes(json.dumps(row(0)).encode("utf-16"))
    with pytest.raises(PairsError, match=r"pairs\.jsonl: is UTF-16"):
        read_labelled(path)


SCORE_FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "missing": ({}, "mine: is missing; every row needs"),
    "NaN": ({"mine": float("nan")}, "mine: is nan; write a finite number"),
    "infinity": ({"mine": float("-inf")}, "mine: is -inf"),
    "an integer beyond all floats": ({"mine": 10**400}, "mine: is 1000"),
    "a boolean": ({"mine": True}, "mine: is True"),
    "words": ({"mine": "high"}, "mine: is high"),
    "a source that is a list": ({"mine": 1, "source": []}, "source: is list; write text"),
    "half a character in a source": ({"mine": 1, "source": "\ud800"}, "source: holds half of a surrogate pair"),
    "half a character in a group": ({"mine": 1, "group": "\ud800"}, "group: holds half of a surrogate pair"),
    "a tenant that is a number": ({"mine": 1, "tenant": 1}, "tenant: is int; write a string"),
}


@pytest.mark.parametrize(("changes", "words"), SCORE_FAULTS.values(), ids=SCORE_FAULTS)
def test_a_faulty_score_source_or_tenant_is_named(path: Path, changes: dict[str, object], words: str) -> None:
    written(path, [row(0, mine=0.5), row(1, **changes)])
    with pytest.raises(PairsError, match=rf"pairs\.jsonl:2:{words}"):
        read_labelled(path, score_column="mine")


def test_a_group_on_both_sides_of_a_split_is_named_with_both_lines(path: Path, tmp_path: Path) -> None:
    train = read_labelled(written(path, [row(number) for number in (0, 1, 2, 3, 4, 3)]))
    test = read_labelled(written(tmp_path / "test.jsonl", [row(number) for number in (9, 3, 4, 3)]))
    with pytest.raises(PairsError, match=r"^test:2:group: 'g3' is in train:4 too, as are 1 other groups; split by gro"):
        check_disjoint(train, test, train_place="train", test_place="test")
    check_disjoint(train, test[:1], train_place="train", test_place="test")


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
