"""`tandem savings`: the ledger -> what was saved, with its interval and its baselines by name.

Also the prices that the rows were charged at, and, where the price book has GPUs of our own, what stood idle of them.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from typer import Option

from router.commands.errors import CommandFailed
from router.commands.places import place_of, telling
from router.commands.times import seconds_of
from router.config.models import Config
from router.config.reading import read_config
from router.insight.hosted import hosted
from router.insight.savings import NoEstimate, saving
from router.ledger.charged_prices import charged_prices, words_of
from router.ledger.prices import PriceBookError, load


def savings(
    *,
    ledger: Annotated[
        str | None, Option(help="The ledger's file, or postgresql://...; else the configuration's.")
    ] = None,
    config: Annotated[Path | None, Option(help="The configuration file that names the ledger.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01; whole days, in UTC.")] = None,
    until: Annotated[str | None, Option(help="Likewise; later days are left out.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what was saved against all-Large, from the shadow calls of the ledger, and the prices of its rows."""
    begin = seconds_of(since)
    end = float("inf") if until is None else seconds_of(until, option="--until")
    place = place_of(ledger, config)
    chosen = Config() if ledger is not None and config is None else read_config(config)
    names = {each.model: each.price for each in chosen.backends.by_tier.values()}
    try:
        with telling(place), ThreadPoolExecutor(1) as beside:  # rows are counted while the saving is read
            counted = beside.submit(charged_prices, place, since=begin, until=end)
            found = saving(place, since=begin, until=end)
            gpus = hosted(place, load(chosen.prices), names, since=begin, until=end)
            charged = counted.result()
    except PriceBookError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        own_gpus = None if gpus is None else gpus.as_json()
        print(json.dumps({**found.as_json(), "own_gpus": own_gpus, "prices": [each.as_json() for each in charged]}))
        return
    said = [f"no estimate: {found.reason}"] if isinstance(found, NoEstimate) else found.words()
    print("\n".join([*said, *(() if gpus is None else gpus.words()), *words_of(charged)]))
