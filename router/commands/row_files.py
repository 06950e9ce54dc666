"""Rows -> JSON lines, CSV or Parquet, one page in memory at a time.

Money stays whole nano-USD in all of them; what each column is stands in the head of a Parquet file, and in what
`./tandem export --columns` prints. In CSV, lists are JSON, and no text is one that a spreadsheet would compute.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from router.commands.errors import CommandFailed
from router.ledger.extracts import Column

# What a spreadsheet would compute (OWASP, "CSV Injection"); the fullwidth forms are read alike by some.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_GROUP: Final = 20_000  # rows in a group of a Parquet file, which is what is held at once
_ADVICE: Final = "install the extra [fit], as in .venv/bin/pip install '.[fit]', or choose --format csv"

Rows = Iterable[dict[str, Any]]


def write_json_lines(rows: Rows, out: TextIO) -> None:
    """Write one object a line."""
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False))
        out.write("\n")


def write_csv(rows: Rows, out: TextIO) -> None:
    """Write a head and a line for each row; nothing at all where there are none."""
    following = iter(rows)
    first = next(following, None)
    if first is None:
        return
    writer = csv.writer(_UnixLines(out), lineterminator="\r\n")
    writer.writerow(first)
    writer.writerow(_cells(first))
    writer.writerows(map(_cells, following))


def write_parquet(rows: Rows, out: Path, columns: Sequence[Column]) -> None:
    """Write a file with a schema, also where there are no rows.

    Raises:
        CommandFailed: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")  # an extra, and heavy
    except ImportError as error:
        raise CommandFailed("Parquet is written by pyarrow, which is not installed", advice=_ADVICE) from error
    schema = arrow.schema([_field(arrow, column) for column in columns])
    as_json = tuple(column.name for column in columns if column.kind == "json")
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(_jsoned(rows, as_json)):
            writer.write_batch(arrow.RecordBatch.from_pylist(group, schema=schema))


class _UnixLines:
    """Lines of CSV -> the same, ended as Unix ends them.

    Cells are quoted for what a line may end with: a carriage return within one would begin a row in a spreadsheet.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, line: str) -> None:
        self._out.write(line.removesuffix("\r\n") + "\n")


def _cells(row: dict[str, Any]) -> list[Any]:
    return [_cell(value) for value in row.values()]


def _cell(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _field(arrow: Any, column: Column) -> Any:  # noqa: ANN401 - the module, which is loaded by the caller alone
    types = {"whole": arrow.int64, "number": arrow.float64, "truth": arrow.bool_}
    if column.kind == "rows":
        kind = arrow.list_(arrow.struct([_field(arrow, part) for part in column.parts]))
    else:
        kind = types.get(column.kind, arrow.string)()
    return arrow.field(column.name, kind, metadata={"unit": column.unit} if column.unit else None)


def _jsoned(rows: Rows, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield row | {name: json.dumps(row[name], ensure_ascii=False) for name in names if row[name] is not None}


def _groups(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    following = iter(rows)
    while group := list(islice(following, _GROUP)):
        yield group
