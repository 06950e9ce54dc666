"""`tandem savings`: the ledger -> what was saved, with its interval and its baselines by name."""

import json
from pathlib import Path
from typing import Annotated

from typer import Option

from router.commands.errors import CommandFailed
from router.commands.places import place_of
from router.commands.times import seconds_of
from router.insight.savings import NoEstimate, saving
from router.ledger.place import LedgerUnreadable


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
    """Print what was saved against all-Large, from the shadow calls of the ledger."""
    begin = seconds_of(since)
    end = float("inf") if until is None else seconds_of(until, option="--until")
    place = place_of(ledger, config)
    try:
        found = saving(place, since=begin, until=end)
    except LedgerUnreadable as error:
        raise CommandFailed(str(error), where=str(place), advice="name a ledger with --ledger") from error
    if as_json:
        print(json.dumps(found.as_json()))
    elif isinstance(found, NoEstimate):
        print(f"no estimate: {found.reason}")
    else:
        print("\n".join(found.words()))
