"""The ledger -> JSON lines or CSV on standard output, oldest request first.

Money stays in whole nano-USD. Labels are written as labelled rows that training, evaluation and calibration read.
Leaving with a reader that closed early is the program's business.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from router.commands.errors import CommandFailed
from router.commands.times import seconds_of
from router.config.reading import read_config
from router.learning.pairs import labelled_row
from router.ledger.labels import iter_labels
from router.ledger.reading import LedgerUnreadable, iter_requests

# What a spreadsheet would compute (OWASP, "CSV Injection"); the fullwidth forms are read alike by some.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Kind(StrEnum):
    """What is written."""

    REQUESTS = "requests"
    LABELS = "labels"


class Format(StrEnum):
    """How it is written."""

    JSONL = "jsonl"
    CSV = "csv"


def export(
    kind: Annotated[Kind, Argument(help="Every request, or what sampled ones taught.")],
    *,
    form: Annotated[Format, Option("--format", help="One JSON object a line, or CSV.")] = Format.JSONL,
    ledger: Annotated[Path | None, Option(help="The ledger's file; else the configuration's.")] = None,
    config: Annotated[Path | None, Option(help="The configuration file that names the ledger.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01 or 2026-11-01T08:00Z.")] = None,
) -> None:
    """Write every request of the ledger, or every label."""
    path = ledger or read_config(config).ledger.path
    if not path.is_file():
        raise CommandFailed("there is no ledger", where=str(path), advice="name one with --ledger")
    begin = seconds_of(since)
    try:
        if kind is Kind.LABELS:
            _WRITERS[form](map(labelled_row, iter_labels(path, since=begin)))
        else:
            _WRITERS[form](request for request in iter_requests(path) if request["started"] >= begin)
    except LedgerUnreadable as error:
        raise CommandFailed(str(error), where=str(path), advice="name a ledger with --ledger") from error


def _write_json_lines(requests: Iterable[dict[str, Any]]) -> None:
    for request in requests:
        print(json.dumps(request, ensure_ascii=False))


def _write_csv(requests: Iterable[dict[str, Any]]) -> None:
    rows: Iterator[dict[str, Any]] = iter(requests)
    first = next(rows, None)
    if first is None:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(first)
    writer.writerow(_cells(first))
    writer.writerows(map(_cells, rows))


def _cells(request: dict[str, Any]) -> list[Any]:
    return [_cell(value) for value in request.values()]


def _cell(value: object) -> object:
    """Return what CSV can hold: attempts as JSON, and no text that a spreadsheet would compute."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


_WRITERS = {Format.JSONL: _write_json_lines, Format.CSV: _write_csv}
