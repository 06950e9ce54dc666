"""The ledger -> JSON lines or CSV on standard output, oldest request first.

Money stays in whole nano-USD. Leaving with a reader that closed early is the program's business.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from router.commands.errors import BadUsage, CommandFailed
from router.config.reading import read_config
from router.ledger.reading import LedgerUnreadable, iter_requests

# What a spreadsheet would compute (OWASP, "CSV Injection"); the fullwidth forms are read alike by some.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Kind(StrEnum):
    """What is written."""

    REQUESTS = "requests"


class Format(StrEnum):
    """How it is written."""

    JSONL = "jsonl"
    CSV = "csv"


def export(
    kind: Annotated[Kind, Argument(help="What to write.")],  # noqa: ARG001 - the one kind there is
    *,
    form: Annotated[Format, Option("--format", help="One JSON object a line, or CSV.")] = Format.JSONL,
    ledger: Annotated[Path | None, Option(help="The ledger's file; else the configuration's.")] = None,
    config: Annotated[Path | None, Option(help="The configuration file that names the ledger.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01 or 2026-11-01T08:00Z.")] = None,
) -> None:
    """Write every request of the ledger."""
    path = ledger or read_config(config).ledger.path
    if not path.is_file():
        raise CommandFailed("there is no ledger", where=str(path), advice="name one with --ledger")
    begin = _seconds(since)
    try:
        requests = (request for request in iter_requests(path) if request["started"] >= begin)
        _WRITERS[form](requests)
    except LedgerUnreadable as error:
        raise CommandFailed(str(error), where=str(path), advice="name a ledger with --ledger") from error


def _seconds(since: str | None) -> float:
    """Return seconds since 1970; a time without a zone is local time."""
    if since is None:
        return float("-inf")
    try:
        return datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadUsage(f"{since!r} is no time", where="--since", advice="write it like 2026-11-01T08:00Z") from error


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
