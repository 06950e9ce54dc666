"""Tests classifier/tables.py."""

import gzip
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from classifier import tables
from classifier.tables import TableError, read_rows

arrow = pytest.importorskip("pyarrow")  # of the extra [fit]
parquet = pytest.importorskip("pyarrow.parquet")


def rows_of(path: Path, *columns: str) -> list[tuple[int, dict[str, Any]]]:
    return list(read_rows(path, columns=columns))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a parquet file of 20,000 rows in several row groups."""
    path = tmp_path / "rows.parquet"
    columns = {"n": range(20_000), "text": ["é"] * 20_000, "other": [0.5] * 20_000}
    parquet.write_table(arrow.table({name: list(column) for name, column in columns.items()}), path, 3000)
    return path


def test_each_line_comes_with_its_number_and_blank_ones_count(lines: Path) -> None:
    lines.write_bytes('\n{"a": "é"}\r\n\r\n{"a": 2}'.encode())
    assert rows_of(lines) == [(2, {"a": "é"}), (4, {"a": 2})]


def test_rows_of_parquet_are_numbered_across_batches(table: Path) -> None:
    rows = rows_of(table, "n", "text", "absent")
    assert rows[0] == (1, {"n": 0, "text": "é"})
    assert [number for number, _ in rows] == list(range(1, 20_001))
    assert all(row["n"] == number - 1 for number, row in rows)


def test_the_first_bytes_decide_and_not_the_name(table: Path) -> None:
    assert len(rows_of(table.rename(table.with_suffix(".jsonl")), "n")) == 20_000


def test_nested_columns_of_parquet_become_lists_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    messages = [{"role": "user", "content": "a"}]
    parquet.write_table(arrow.Table.from_pylist([{"messages": messages}, {"messages": None}]), path)
    assert rows_of(path, "messages") == [(1, {"messages": messages}), (2, {"messages": None})]


STARTS = {
    "nothing": (b"", "is empty; write one JSON object a line"),
    "blank lines": (b"\n \n", "holds no rows"),
    "a UTF-8 mark": (b'\xef\xbb\xbf{"a": 1}\n', "begins with a UTF-8 byte order mark"),
    "UTF-16, little end first": ('{"a": 1}'.encode("utf-16"), "is UTF-16, by its byte order mark; save it as UTF-8"),
    "UTF-16, big end first": (b"\xfe\xff\0{\0}", "is UTF-16, by its byte order mark"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), "is no text in UTF-8, but perhaps UTF-16"),
    "gzip": (gzip.compress(b'{"a": 1}'), "is compressed with gzip; unpack it"),
    "zip": (b"PK\x03\x04....", "is a zip archive"),
}


@pytest.mark.parametrize(("content", "words"), STARTS.values(), ids=STARTS)
def test_a_file_in_another_format_or_encoding_is_told_apart(lines: Path, content: bytes, words: str) -> None:
    lines.write_bytes(content)
    with pytest.raises(TableError, match=rf"rows\.jsonl: {words}"):
        rows_of(lines)


LINES = {
    "another encoding": ('{"a": "é"}'.encode("latin-1"), "is not UTF-8: byte 0xe9 at place 8; save the whole file"),
    "half an object": (b'{"a":', "is not a line of JSON: expecting value at character 7; write one object a line"),
    "a mark inside": (b"\xef\xbb\xbf{}", "is not a line of JSON"),
    "a list": (b"[]", "is list; write one object a line"),
    "nesting without end": (b"[" * 100_000, "is not a line of JSON that can be read"),
    "digits without end": (b'{"a": ' + b"9" * 5000 + b"}", "is not a line of JSON that can be read"),
}


@pytest.mark.parametrize(("content", "words"), LINES.values(), ids=LINES)
def test_a_line_that_is_no_object_is_named(lines: Path, content: bytes, words: str) -> None:
    lines.write_bytes(b'{"a": 1}\n\n' + content + b"\n")
    with pytest.raises(TableError, match=rf"rows\.jsonl:3: {words}"):
        rows_of(lines)


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=r": cannot be read: (No such file|Is a directory)"):
        rows_of(tmp_path / name)


def test_rows_are_not_waited_for_and_a_line_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: None
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "pipe"), (Path("/dev/zero"), "device")):
        with pytest.raises(TableError, match=f"{path}: cannot be read: it is a {what}, and no file"):
            rows_of(path)
    monkeypatch.setattr("classifier.tables.LONGEST", 8)
    (tmp_path / "long.jsonl").write_bytes(b'{"a": 1}\n{"a": 1}')
    with pytest.raises(TableError, match=r"long\.jsonl:1: is longer than 8 bytes"):
        rows_of(tmp_path / "long.jsonl")
    monkeypatch.setattr("classifier.tables.LONGEST", 9)
    assert [row for _, row in rows_of(tmp_path / "long.jsonl")] == [{"a": 1}, {"a": 1}]


def test_a_table_by_name_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(TableError, match=r"rows\.parquet: is no parquet file"):
        rows_of(path)


def test_a_table_that_was_cut_off_is_refused(table: Path) -> None:
    table.write_bytes(table.read_bytes()[:-100])
    with pytest.raises(TableError, match=r"rows\.parquet: is a parquet file that cannot be read beyond row 0: "):
        rows_of(table, "n")


def test_a_table_with_a_damaged_page_says_how_far_it_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    numbers = arrow.table({"n": list(range(20_000))})
    parquet.write_table(numbers, path, 10_000, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    start = parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    content[start : start + 200] = bytes(200)
    path.write_bytes(bytes(content))
    with pytest.raises(TableError, match=r"rows\.parquet: is a parquet file that cannot be read beyond row \d+: "):
        rows_of(path, "n")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(arrow.table({"n": arrow.array([], arrow.int64())}), path)
    with pytest.raises(TableError, match=r"rows\.parquet: holds no rows"):
        rows_of(path, "n")


def test_text_of_a_table_that_is_not_utf_8_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    texts = arrow.array([b"a"] * 9000 + [b"\xe9"], arrow.binary()).view(arrow.string())
    parquet.write_table(arrow.table({"n": list(range(9001)), "text": texts}), path)
    with pytest.raises(TableError, match=r"rows\.parquet:9001:text: is not UTF-8"):
        rows_of(path, "n", "text")


def test_a_time_that_no_calendar_has_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    times = arrow.array([0, 2**50], arrow.timestamp("s"))
    parquet.write_table(arrow.table({"n": [1, 2], "when": times}), path)
    with pytest.raises(TableError, match=r"rows\.parquet:2:when: cannot be read"):
        rows_of(path, "n", "when")


def test_without_pyarrow_it_says_how_to_do_with_and_without_it(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tables, "import_module", missing)
    with pytest.raises(TableError, match=r"pyarrow is not installed; ./tandem installs it .* JSON lines need none"):
        rows_of(table, "n")
