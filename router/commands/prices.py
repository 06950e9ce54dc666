"""`tandem prices`: a price book checked, seeded from a published list, and asked.

Nothing is fetched: the published list is that of the installed package genai-prices.
"""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from router.base import Price
from router.commands.errors import BadUsage, CommandFailed
from router.commands.places import place_of, telling
from router.commands.published_prices import Left, as_book, published
from router.commands.writing import writing
from router.config.reading import read_config
from router.ledger.money import BUCKETS, PICO_PER_PRICE_UNIT, usd
from router.ledger.place import reading
from router.ledger.price_rows import Row
from router.ledger.prices import Checked, PriceBook, PriceBookError, check_book, load, utc_today
from router.ledger.served_prices import changes_in

_MODELS = "SELECT DISTINCT model FROM attempts ORDER BY model"

prices = typer.Typer(no_args_is_help=True)

_Config = Annotated[Path | None, Option("--config", help="The configuration file that names the price book.")]
_Json = Annotated[bool, Option("--json", help="Print one JSON object.")]


@prices.command("lint")
def lint(
    file: Annotated[Path | None, Argument(help="A price book; else the configuration's, or the shipped one.")] = None,
    *,
    config: _Config = None,
    ledger: Annotated[
        str | None, Option("--ledger", help="A ledger's file or address, whose models and prices the book must have.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Say what is wrong with a price book, and what is odd; exit 1 where it cannot be used."""
    place = None if ledger is None else place_of(ledger, None)
    names = () if config is None else read_config(config).price_names
    try:
        with (
            nullcontext() if place is None else telling(place),
            nullcontext() if place is None else reading(place) as opened,
        ):
            charged = () if opened is None else [row["model"] for row in opened.rows(_MODELS)]
            checked = check_book(file or _configured(config), names=[*names, *charged])
            changes = () if opened is None else changes_in(checked.rows, opened)
    except PriceBookError as error:
        raise CommandFailed(str(error)) from error
    warnings = [*checked.warnings, *(f"{checked.file}:{each.line}:1: {each.words}" for each in changes)]
    if as_json:
        said = {"file": str(checked.file), "rows": len(checked.rows), "faults": checked.faults}
        print(json.dumps({**said, "warnings": warnings, "unproven": _unproven(checked)}))
    else:
        for fault in checked.faults:
            print(fault)
        for warning in warnings:
            print(f"{warning} (odd)")
        if unproven := _unproven(checked):
            print(unproven)
        print(f"{checked.file}: {len(checked.rows)} rows, {len(checked.faults)} faults, {len(warnings)} odd")
    if checked.faults:
        raise typer.Exit(1)


@prices.command("import")
def take_over(
    *,
    models: Annotated[str, Option("--models", help="A regular expression; it matches names whole.")] = ".*",
    provider: Annotated[str | None, Option("--provider", help="Whose prices, such as openai.")] = None,
    out: Annotated[Path | None, Option("--out", help="A file that does not exist yet; else standard output.")] = None,
) -> None:
    """Write a price book from the installed list genai-prices; what could not be taken over goes to standard error."""
    try:
        pattern = re.compile(models)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadUsage(f"{models!r:.80} is no regular expression: {error}", where="--models") from error
    if out is not None and out.exists():
        raise BadUsage("the file exists", where=str(out), advice="a book is only appended to; name another file")
    try:
        rows, left = published(pattern, provider=provider, today=utc_today())
    except ImportError as error:
        raise CommandFailed(
            "genai-prices is not installed", advice="install the extra [fit], as in .venv/bin/pip install '.[fit]'"
        ) from error
    for each in left:
        print(_told(each), file=sys.stderr)
    missing = len({each.model for each in left if each.whole})
    print(f"{len({row.kind[0] for row in rows})} models in {len(rows)} rows; {missing} left out", file=sys.stderr)
    if not rows:
        raise CommandFailed("no price was taken over", where=models, advice="see what was left out, and why")
    if out is None:
        print(as_book(rows), end="")
    else:
        with writing(out):
            out.write_text(as_book(rows), encoding="utf-8")


@prices.command("show")
def show(
    model: Annotated[str, Argument(help="The model's name.")],
    *,
    file: Annotated[Path | None, Option("--file", help="A price book; else the configuration's.")] = None,
    on: Annotated[str | None, Option("--on", help="A day (UTC), such as 2026-01-31; else today.")] = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Print what a model's tokens cost on a day, in USD per million tokens, with all variants."""
    try:
        day = utc_today() if on is None else date.fromisoformat(on)
    except ValueError as error:
        raise BadUsage(f"{on!r} is no day", where="--on", advice="write it as 2026-01-31") from error
    chosen = file or _configured(config)
    book = _book(chosen)
    price = book.price_on(model, day)
    if price is None and (rows := book.matching(model, day)):
        raise CommandFailed(
            f"{model!r} has no price on {day}: it matches {_listed(rows)}",
            where=str(chosen or "the shipped book"),
            advice="narrow one of these expressions, or add a row for the name itself; until then it is unpriced",
        )
    if price is None:
        raise CommandFailed(
            f"{model!r} has no price on {day}",
            where=str(chosen or "the shipped book"),
            advice="add a row for it, or name another book with --file; until then it is unpriced",
        )
    shown = [_shown(each) for each in (price, *price.variants)]
    hosting = book.hosting_of(model, day)
    hourly = None if hosting is None else usd(round(hosting.usd_per_hour * 10**9))
    if as_json:
        print(json.dumps({"model": model, "day": day.isoformat(), "prices": shown, "usd_per_hour": hourly}))
        return
    for row in shown:
        print("\n".join(f"{name:20} {value}" for name, value in row.items()), end="\n\n")
    if hourly is not None:
        print(f"its GPUs cost {hourly} USD an hour, asked or idle")


def _unproven(checked: Checked) -> str:
    """Return what trying names cannot tell; "" where no two rows are expressions."""
    expressions = {row.name for row in checked.rows if row.pattern is not None}
    if len(expressions) < 2:  # noqa: PLR2004 - it takes two
        return ""
    return (
        f"{len(expressions)} expressions were tried on each other's names and on those that are known; two of them may"
        " still match another name, which then has no price"
    )


def _listed(rows: Sequence[Row]) -> str:
    lines = {row.name: row.line for row in rows}
    return " and ".join(f"{name!r} in line {line}" for name, line in lines.items())


def _configured(config: Path | None) -> Path | None:
    return None if config is None else read_config(config).prices


def _book(file: Path | None) -> PriceBook:
    try:
        return load(file)
    except PriceBookError as error:
        raise CommandFailed(str(error)) from error


def _shown(price: Price) -> dict[str, object]:
    """Return a price in words; a bucket that inherits is shown at what it costs."""
    return {
        "service_tier": price.service_tier or "usual",
        "above_input_tokens": price.above_input,
        **{name: usd(price.rate(name) * 10**9 // PICO_PER_PRICE_UNIT) for name in BUCKETS},
        "per_request": usd(price.per_request),
        "version": price.version,
    }


def _told(left: Left) -> str:
    whose = f"{left.provider}/{left.model}" if left.provider else left.model
    return f"{whose}: {'left out, since ' if left.whole else 'without '}{left.why}"
