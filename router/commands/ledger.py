"""`tandem ledger`: a ledger's sums checked against its rows, its layout brought up to date, what is old erased."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer
from typer import Option

from router.base import Unavailable
from router.commands.errors import CommandFailed
from router.commands.places import place_of, telling
from router.config.reading import read_config
from router.ledger.charged_prices import charged_prices, words_of
from router.ledger.cubes import DAY
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.place import LedgerPlace, in_words
from router.ledger.retention import Eraser, Retention
from router.ledger.rollup import verify
from router.ledger.versions import REVISION

SHOWN: Final = 20  # differences; who wants all of them takes the JSON

ledger = typer.Typer(no_args_is_help=True)

_Ledger = Annotated[
    str | None, Option("--ledger", help="The ledger's file, or postgresql://...; else the configuration's.")
]
_Config = Annotated[Path | None, Option("--config", help="The configuration file that names the ledger.")]
_Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
_RawDays = Annotated[
    float | None,
    Option(
        "--raw-days",
        min=1.0,
        max=36_500.0,
        show_default="the configuration's",
        help="Days after which a request's own rows are erased; its sums stay.",
    ),
]
_HourDays = Annotated[
    float | None,
    Option(
        "--hour-days",
        min=1.0,
        max=36_500.0,
        show_default="the configuration's",
        help="Days after which sums of hours, users and conversations are erased; those of days stay.",
    ),
]


@ledger.command("verify")
def compare_sums(*, ledger: _Ledger = None, config: _Config = None, as_json: _Json = False) -> None:
    """Compare all sums with their rows, and name the rows' prices; exit 1 where sums differ by a nano-USD."""
    place = place_of(ledger, config)
    with telling(place):
        differences, charged = verify(place), charged_prices(place)
    if as_json:
        found = [{"where": one.where, "column": one.column, "raw": one.raw, "kept": one.kept} for one in differences]
        prices = [each.as_json() for each in charged]
        print(json.dumps({"ledger": str(place), "differences": found, "prices": prices}))
    else:
        for one in differences[:SHOWN]:
            print(one)
        if len(differences) > SHOWN:
            print(f"and {len(differences) - SHOWN} more")
        for line in words_of(charged):
            print(line)
        print(f"{place}: {len(differences)} differences between sums and rows")
    if differences:
        raise typer.Exit(1)


@ledger.command("migrate")
def bring_up_to_date(*, ledger: _Ledger = None, config: _Config = None, as_json: _Json = False) -> None:
    """Give a ledger this program's layout; the gateway does the same when it starts, and must not run."""
    place = place_of(ledger, config)
    _hold_once(place)
    print(json.dumps({"ledger": str(place), "revision": REVISION}) if as_json else f"{place}: layout {REVISION}")


@ledger.command("retain")
def erase_what_is_old(
    *,
    ledger: _Ledger = None,
    config: _Config = None,
    raw_days: _RawDays = None,
    hour_days: _HourDays = None,
    as_json: _Json = False,
) -> None:
    """Erase what is old, as a running gateway does by itself; it must not run."""
    place = place_of(ledger, config)
    chosen = read_config(config).ledger.retention if raw_days is None or hour_days is None else Retention()
    retention = Retention(
        raw=chosen.raw if raw_days is None else raw_days * DAY,
        hours=chosen.hours if hour_days is None else hour_days * DAY,
    )
    erased = 0
    try:
        with hold(place), closing(engine_of(place)) as engine:
            eraser = Eraser(engine, retention, trusts=True)
            try:
                while step := eraser.step():
                    erased += step
            except engine.errors as error:
                raise CommandFailed(f"it cannot be written: {in_words(error)}", where=str(place)) from error
    except Unavailable as error:
        raise CommandFailed(str(error)) from error
    print(json.dumps({"ledger": str(place), "erased": erased}) if as_json else f"{place}: {erased} rows erased")


def _hold_once(place: LedgerPlace) -> None:
    try:
        hold(place).close()
    except Unavailable as error:
        raise CommandFailed(str(error)) from error
