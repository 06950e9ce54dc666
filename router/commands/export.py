"""The ledger -> JSON lines, CSV or Parquet, in the order of each table's key, oldest request first.

Reads and writes a page at a time, so that a ledger of any size is written in the same memory. Labels are written as
labelled rows that training, evaluation and calibration read. Leaving with a reader that closed early is the program's
business.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

from typer import Argument, Option

from router.commands.errors import BadUsage
from router.commands.places import place_of, telling
from router.commands.row_files import write_csv, write_json_lines, write_parquet
from router.commands.times import seconds_of
from router.commands.writing import writing
from router.learning.pairs import labelled_row
from router.ledger.extracts import Column, Table, columns_of, iter_rows
from router.ledger.labels import iter_labels
from router.ledger.place import LedgerPlace
from router.ledger.reading import iter_requests

# Of a labelled row; see `router.learning.pairs.labelled_row`.
_LABEL_COLUMNS = (
    Column("request_id", "text"),
    Column("tenant", "text"),
    Column("made", "number", "seconds since 1970"),
    Column("messages", "json"),
    Column("tools", "json"),
    Column("max_tokens", "whole", "tokens"),
    Column("strong_score", "number"),
    Column("weak_score", "number"),
    Column("group", "text"),
    Column("grader", "text"),
    Column("rating", "number"),
    Column("answered", "text"),
    Column("score", "number"),
    Column("scorer", "text"),
    Column("threshold", "number"),
    Column("propensity", "number"),
)


class What(StrEnum):
    """What is written."""

    REQUESTS = "requests"
    ATTEMPTS = "attempts"
    TOTALS = "totals"
    UNITS = "units"
    LABELS = "labels"
    ASSESSMENTS = "assessments"
    SIGNALS = "signals"
    RATINGS = "ratings"


class Format(StrEnum):
    """How it is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def export(  # noqa: PLR0913 - options of a command line
    kind: Annotated[What | None, Argument(help="The same as --what.", show_default=False)] = None,
    *,
    what: Annotated[
        What | None,
        Option(
            help="Rows as they are (requests with their attempts, attempts, assessments, signals, ratings), sums that"
            " are kept for longer (totals, units of experiments), or what sampled requests taught (labels).",
            show_default="requests",
        ),
    ] = None,
    form: Annotated[
        Format, Option("--format", help="One JSON object a line, CSV, or Parquet, which needs --out.")
    ] = Format.JSONL,
    ledger: Annotated[
        str | None, Option(help="The ledger's file, or postgresql://...; else the configuration's.")
    ] = None,
    config: Annotated[Path | None, Option(help="The configuration file that names the ledger.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01 or 2026-11-01T08:00Z.")] = None,
    until: Annotated[str | None, Option(help="Likewise; what came then or later is left out.")] = None,
    out: Annotated[Path | None, Option(help="The file to write; else standard output.")] = None,
    columns: Annotated[bool, Option("--columns", help="Print what each column is, and write nothing else.")] = False,
) -> None:
    """Write what the ledger holds; money is in whole nano-USD."""
    wanted = _wanted(kind, what)
    if columns:
        _print_columns(_columns(wanted))
        return
    if form is Format.PARQUET and out is None:
        raise BadUsage("Parquet is no text", where="--format", advice="name a file with --out")
    begin = seconds_of(since)
    end = float("inf") if until is None else seconds_of(until, option="--until")
    place = place_of(ledger, config)
    with telling(place):
        rows = _rows(place, wanted, begin, end)
        if form is Format.PARQUET and out is not None:
            with _replacing(out) as file:
                write_parquet(rows, file, _columns(wanted))
            return
        write = write_csv if form is Format.CSV else write_json_lines
        with _opened(out) as stream:
            write(rows, stream)


def _wanted(kind: What | None, what: What | None) -> What:
    if kind is not None and what is not None and kind is not what:
        raise BadUsage(f"both {kind} and {what} are asked for", where="--what", advice="name one")
    return kind or what or What.REQUESTS


def _rows(place: LedgerPlace, what: What, since: float, until: float) -> Iterator[dict[str, Any]]:
    if what is What.LABELS:
        return (labelled_row(rated) for rated in iter_labels(place, since=since) if rated.label.made < until)
    if what is What.REQUESTS:
        return iter_requests(place, since=since, until=until)
    return iter_rows(place, Table(what), since=since, until=until)


def _columns(what: What) -> tuple[Column, ...]:
    return _LABEL_COLUMNS if what is What.LABELS else columns_of(Table(what))


def _print_columns(columns: tuple[Column, ...], indent: str = "") -> None:
    for column in columns:
        print(f"{indent}{column.name:<{20 - len(indent)}} {column.kind:<7} {column.unit}".rstrip())
        _print_columns(column.parts, indent + "  ")


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with _replacing(out) as file, file.open("w", encoding="utf-8", newline="") as stream:
        yield stream


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a file beside `out` that takes its place when the block ends; of one that fails nothing is left."""
    beside = out.with_name(f".{out.name}.part")
    with writing(out):
        try:
            yield beside
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
