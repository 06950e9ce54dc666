"""JSON lines or parquet -> rows with their line numbers.

Which of the two a file is, its first bytes say, not its name. Knows nothing of what the columns mean. Reads lazily, a
line or a batch of rows at a time; pyarrow is loaded only for parquet.
"""

import json
from collections.abc import Collection, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from classifier.regular_files import open_regular

LONGEST = 64 << 20  # bytes of a line
_PARQUET = b"PAR1"
_UNREADABLE = {  # what a file that is neither begins with, and what to do about it
    b"\xef\xbb\xbf": "begins with a UTF-8 byte order mark; save it as UTF-8 without one",
    b"\xff\xfe": "is UTF-16, by its byte order mark; save it as UTF-8",
    b"\xfe\xff": "is UTF-16, by its byte order mark; save it as UTF-8",
    b"\x1f\x8b": "is compressed with gzip; unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it",
    b"PK\x03\x04": "is a zip archive; unpack it",
}
_BATCH = 8192  # rows of a parquet file that are held at once


class TableError(ValueError):
    """The file cannot be read as rows; the message names file, and line or row where there is one."""


def read_rows(path: Path, *, columns: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row's number and values: its line in a file of JSON lines, its row in parquet; both from 1.

    Args:
        columns: the wanted ones; others of a parquet file are not read, others of JSON lines come along.

    Raises:
        TableError: the file is missing, empty, damaged or in another format or encoding, or a line is no JSON object.
    """
    try:
        with open_regular(path) as file:
            head = file.read(4)
            file.seek(0)
            if head == _PARQUET:
                rows = _parquet_rows(path, columns)
            else:
                _check_start(path, head)
                rows = _json_rows(path, file)
            number = 0
            for number, row in rows:
                yield number, row
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or type(error).__name__}") from error
    if not number:
        raise TableError(f"{path}: holds no rows")


def _check_start(path: Path, head: bytes) -> None:
    """Raise where the first bytes cannot be those of JSON lines."""
    if not head:
        raise TableError(f"{path}: is empty; write one JSON object a line")
    for start, words in _UNREADABLE.items():
        if head.startswith(start):
            raise TableError(f"{path}: {words}")
    if b"\0" in head:
        raise TableError(f"{path}: is no text in UTF-8, but perhaps UTF-16; save it as UTF-8")
    if path.suffix == ".parquet":
        raise TableError(f"{path}: is no parquet file; write it again, or name it .jsonl")


# --- JSON lines ------------------------------------------------------------------------------------


def _json_rows(path: Path, lines: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(iter(partial(lines.readline, LONGEST + 1), b""), 1):
        if len(line) > LONGEST:
            raise TableError(f"{path}:{number}: is longer than {LONGEST} bytes; write one JSON object a line")
        if line.strip():
            yield number, _object(line, f"{path}:{number}")


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at place {error.start + 1}"
        raise TableError(f"{place}: is not UTF-8: {byte}; save the whole file as UTF-8") from error
    except json.JSONDecodeError as error:
        fault = f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
        raise TableError(f"{place}: is not a line of JSON: {fault}; write one object a line") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, or nesting as deep
        raise TableError(f"{place}: is not a line of JSON that can be read; write one object a line") from error
    if not isinstance(row, dict):
        raise TableError(f"{place}: is {type(row).__name__}; write one object a line")
    return row


# --- parquet ---------------------------------------------------------------------------------------


def _parquet_rows(path: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        advice = "./tandem installs it for train, eval and calibrate; JSON lines need none"
        raise TableError(f"{path}: is parquet, and pyarrow is not installed; {advice}") from error
    before = 0
    try:
        with parquet.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if name in columns]
            for batch in file.iter_batches(_BATCH, columns=wanted):
                yield from enumerate(_values(batch, path, before), before + 1)
                before += batch.num_rows
    except (arrow.ArrowException, OSError) as error:
        place = f"{path}: is a parquet file that cannot be read beyond row {before}"
        raise TableError(f"{place}: {str(error).splitlines()[0][:200]}; write it again") from error


def _values(batch: Any, path: Path, before: int) -> list[dict[str, Any]]:  # noqa: ANN401 - pyarrow has no types
    """Return the rows of a batch, of which `before` rows come earlier in the file."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (UnicodeDecodeError, OverflowError, ValueError) as error:
        place, column = _unreadable(batch)
        fault = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error})"
        raise TableError(f"{path}:{before + place}:{column}: {fault}; write the column again") from error
    return rows


def _unreadable(batch: Any) -> tuple[int, str]:  # noqa: ANN401 - pyarrow has no types
    """Return row (from 1) and column of the first value that cannot be read."""
    for place in range(batch.num_rows):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column[place].as_py()
            except (UnicodeDecodeError, OverflowError, ValueError):
                return place + 1, name
    raise AssertionError("a batch that could not be read has a value that cannot")
