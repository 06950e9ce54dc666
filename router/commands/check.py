"""A configuration file -> all its faults, or a word that there are none.

Reads what the gateway reads when it starts: weights, calibration, verifier, registry, price book, and whose layout the
ledger has; creates nothing. With `--live` also asks each backend whether it is ready, which starts the models of our
own for a moment; then a ledger that a gateway could not use is an error, too, and else a remark.
"""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Option

from backends.base import BackendError
from router.commands.errors import BackendAway, BadConfiguration
from router.config.kinds import BackendOptions
from router.config.models import Config
from router.config.reading import placed, read_config
from router.ledger.place import LedgerUnreadable, SqlitePlace, reading
from router.ledger.prices import check_book
from router.ledger.prices import load as load_prices
from router.ledger.served_prices import changes_in
from router.ledger.trying import tried
from router.running.vetting import faults_in

_SECONDS = 30.0  # for one backend to start and to say that it is ready


def check(
    *,
    config: Annotated[Path | None, Option(help="The file; else the built-in configuration.")] = None,
    live: Annotated[bool, Option("--live", help="Ask the backends, too; exit 4 if one does not answer.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read the file and what it names; exit 3 where it cannot be used."""
    chosen = read_config(config)
    if faults := faults_in(chosen):
        raise BadConfiguration(placed(config, faults))
    ready = asyncio.run(_ready(chosen)) if live else {}
    name = str(config or "the built-in configuration")
    place = chosen.ledger.place
    found = None if isinstance(place, SqlitePlace) and not place.path.exists() else tried(place)
    if live and found is not None and not found.is_usable:
        raise BackendAway(f"the ledger {place} {found.found}", where=name, advice=found.advice, ready=ready)
    if away := [tier for tier, ok in ready.items() if not ok]:
        what = f"no answer from {' and '.join(away)}"
        raise BackendAway(what, where=name, advice="start it, or mend its urls", ready=ready)
    remarks = unpriced(chosen) + changed_prices(chosen)
    if found is not None and found.advice:
        key = "path" if isinstance(place, SqlitePlace) else "url"
        remarks.append(f"ledger.{key}: {place}: {found.found}; {found.advice}")
    if as_json:
        ledger = None if found is None else asdict(found)
        said = {"config": None if config is None else name, "faults": [], "remarks": remarks, "ready": ready or None}
        print(json.dumps({**said, "ledger": ledger}))
        return
    in_order = [f"ledger: {place}: {found.found}"] if found is not None and not found.advice else []
    print("\n".join([f"{name}: in order", *remarks, *in_order, *(f"{tier}: ready" for tier in ready)]))


def unpriced(chosen: Config) -> list[str]:
    """Return a sentence for each backend whose price is in no book; that is allowed, but seldom meant."""
    book = load_prices(chosen.prices)
    return [
        f"backends.{tier}.price: the price book has no {each.price!r}, so its costs stay unknown"
        for tier, each in chosen.backends.by_tier.items()
        if book.price_of(each.price) is None
    ]


def changed_prices(chosen: Config) -> list[str]:
    """Return a sentence for each row that was served with, and that the price book has lost since."""
    book = check_book(chosen.prices)
    try:
        with reading(chosen.ledger.place) as opened:
            changes = changes_in(book.rows, opened)
    except LedgerUnreadable:  # there is none yet, or it is told of beside this
        return []
    return [f"prices: {book.file}:{change.line}: {change.words}" for change in changes]


async def _ready(chosen: Config) -> dict[str, bool]:
    options = chosen.backends.by_tier
    answers = await asyncio.gather(*(_is_ready(each) for each in options.values()))
    return {tier.value: ok for tier, ok in zip(options, answers, strict=True)}


async def _is_ready(options: BackendOptions) -> bool:
    backend = options.build()
    try:
        async with asyncio.timeout(_SECONDS):
            if start := getattr(backend, "start", None):
                await start()
            return await backend.is_ready()
    except (BackendError, TimeoutError):
        return False
    finally:
        await backend.aclose()
