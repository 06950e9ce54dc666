"""`tandem experiment`: begin, widen, stop and read experiments, beside a gateway that runs.

A running gateway with the same configuration takes what is begun within a second or two, in all of its workers.
"""

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import ValidationError
from typer import Argument, Option

from router.commands.errors import BadConfiguration, BadUsage, CommandFailed
from router.commands.places import place_of, telling
from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import read_config
from router.experiments.definition import Experiment
from router.experiments.folder import Folder, FolderError
from router.experiments.reading import read_experiment
from router.experiments.standing import NotAllowed, Standing, stopped

experiment = typer.Typer(no_args_is_help=True)

_Config = Annotated[Path | None, Option("--config", help="The gateway's configuration file.")]
_Folder = Annotated[Path | None, Option("--folder", help="Where experiments stand; else the configuration's.")]
_Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
_Id = Annotated[str, Argument(metavar="id", help="The experiment's id.")]


class BadExperiment(BadConfiguration):
    """An experiment's file cannot be used; says all its faults at once."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(error.faults)
        self.what = self.what.replace("the configuration", "the experiment")


@experiment.command("start")
def start(
    file: Annotated[Path, Argument(help="The experiment's file, YAML or TOML.")],
    *,
    ramp: Annotated[str | None, Option("--ramp", help="Share of all units that takes part, such as 0.1.")] = None,
    config: _Config = None,
    folder: _Folder = None,
    as_json: _Json = False,
) -> None:
    """Begin an experiment, or widen one that runs as the file says."""
    chosen = read_config(config)
    try:
        plan = read_experiment(file, chosen)
    except ConfigError as error:
        raise BadExperiment(error) from error
    with _told():
        share = None if ramp is None else _share(ramp)
        standing = _folder(folder, chosen).start(plan, now=time.time(), ramp=share)
    _show(standing, as_json=as_json)
    _warn(_defined(standing), chosen)


@experiment.command("ramp")
def ramp(
    id_: _Id,
    share: Annotated[str, Argument(help="Share of all units that takes part from now on; it can only be widened.")],
    *,
    config: _Config = None,
    folder: _Folder = None,
    as_json: _Json = False,
) -> None:
    """Let more units take part; none of those that do leaves its arm."""
    with _told():
        standing = _folder(folder, read_config(config)).widen(id_, _share(share), now=time.time())
    _show(standing, as_json=as_json)


@experiment.command("stop")
def stop(
    id_: _Id,
    *,
    why: Annotated[str, Option("--why", help="What is to stand on record.")] = "a person decided",
    config: _Config = None,
    folder: _Folder = None,
    as_json: _Json = False,
) -> None:
    """End an experiment for good: all units get the usual way again."""
    with _told():
        place = _folder(folder, read_config(config))
        standing = place.change(id_, lambda before: stopped(before, now=time.time(), why=why))
    _show(standing, as_json=as_json)


@experiment.command("list")
def list_experiments(*, config: _Config = None, folder: _Folder = None, as_json: _Json = False) -> None:
    """Show all experiments, the oldest first."""
    with _told():
        standings = _folder(folder, read_config(config)).standings()
    if as_json:
        print(json.dumps({"experiments": [_plain(each) for each in standings]}))
        return
    for each in standings:
        print(_line(each))
    if not standings:
        print("no experiment yet; begin one with ./tandem experiment start FILE")


@experiment.command("report")
def report(id_: _Id, *, config: _Config = None, folder: _Folder = None, as_json: _Json = False) -> None:
    """Say what an experiment has shown until now; looking often makes nothing less sure."""
    from router.experiments.judging import judge  # noqa: PLC0415 - loads numpy
    from router.experiments.telling import lines_of, report_of  # noqa: PLC0415 - likewise
    from router.experiments.verdicts import verdict_of  # noqa: PLC0415 - likewise
    from router.ledger.experiments import exposed  # noqa: PLC0415 - likewise
    from router.quality.fates import fates_of  # noqa: PLC0415 - likewise

    chosen = read_config(config)
    with _told():
        standing = _folder(folder, chosen).standing(id_)
        place = place_of(None, config)
        defined = _defined(standing)
    with _told(), telling(place):
        seen = exposed(
            place,
            standing.id,
            tuple(defined.arms),
            unit=defined.unit,
            started=standing.started,
            fate_of=None if defined.complex_from is None else fates_of(chosen, defined.complex_from, time.time()),
        )
        findings = judge(defined, seen, standing.weights)
    verdict = verdict_of(findings)
    if as_json:
        print(json.dumps(report_of(standing, findings, verdict)))
        return
    for line in lines_of(standing, findings, verdict):
        print(line)
    if standing.stopped is None:
        _warn(defined, chosen)


def _warn(defined: Experiment, config: Config) -> None:
    """Say of what is to be decided by that it is not measured."""
    if defined.quality == "agreement" and not any(config.learning.shares.values()):
        print(
            "warning: nothing measures agreement, so that nothing will be decided: set learning.shadow, such as 0.05, "
            "in the gateway's configuration",
            file=sys.stderr,
        )


def _defined(standing: Standing) -> Experiment:
    try:
        return Experiment.model_validate(standing.values)
    except ValidationError as error:
        raise FolderError(f"{standing.id}: what stands in the folder is no experiment any more") from error


def _folder(folder: Path | None, config: Config) -> Folder:
    return Folder(folder or config.experiments.beside(config.ledger.path))


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except (FolderError, NotAllowed) as error:
        raise CommandFailed(str(error)) from error


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite() or not 0 < share <= 1:
        raise BadUsage(f"{text!r} is no share", where="ramp", advice="write a number above 0, and 1 at most")
    return share


def _show(standing: Standing, *, as_json: bool) -> None:
    print(json.dumps(_plain(standing)) if as_json else _line(standing))


def _plain(standing: Standing) -> dict[str, object]:
    said = msgspec.to_builtins(standing)
    said["state"] = "runs" if standing.stopped is None else "stopped"
    return {name: value for name, value in said.items() if name != "salt"}


def _line(standing: Standing) -> str:
    state = f"runs, ramp {standing.ramp}" if standing.stopped is None else f"stopped: {standing.stopped.why}"
    arms = ", ".join(f"{name} {weight}" for name, weight in zip(standing.values["arms"], standing.weights, strict=True))
    return f"{standing.id:24} {datetime.fromtimestamp(standing.started, UTC):%Y-%m-%d %H:%MZ}  {state}  ({arms})"
