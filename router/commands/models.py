"""`tandem models`: a registry of the classifier's versions, seen and changed from outside.

A running gateway that has the same registry follows within seconds.
"""

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from typer import Argument, Option

from classifier.base import WeightsError
from router.commands.errors import BadUsage, CommandFailed
from router.config.reading import read_config
from router.learning.evidence import ALPHA, MOST, Evidence
from router.learning.registry import Registry, RegistryError, Use
from router.learning.standing import NotNow, Standing, promoted, rolled_back

models = typer.Typer(no_args_is_help=True)

_Registry = Annotated[Path | None, Option("--registry", help="The registry's folder; else the configuration's.")]
_Config = Annotated[Path | None, Option("--config", help="The configuration file that names the registry.")]
_Json = Annotated[bool, Option("--json", help="Print one JSON object.")]


@models.command("list")
def list_versions(*, registry: _Registry = None, config: _Config = None, as_json: _Json = False) -> None:
    """Show all versions, oldest first."""
    with _told():
        found = _registry(registry, config)
        standing, versions = found.standing(), found.versions()
    rows = [{**msgspec.to_builtins(version), "role": _role(version.id, standing)} for version in versions]
    if as_json:
        print(json.dumps({"versions": rows}))
        return
    for row in rows:
        print(f"{row['id']:40} {row['role']:12} {_day(row['added'])}")


@models.command("challenge")
def challenge(
    weights: Annotated[Path, Argument(help="A weights' file; a folder where the classifier is an encoder.")],
    *,
    registry: _Registry = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Have weights compared with those that serve, on requests that come from now on."""
    if not weights.exists():
        raise CommandFailed("there are no weights", where=str(weights), advice="fit them with ./tandem train")
    use: Use = "encoder" if weights.is_dir() else "linear"
    with _told():
        standing = _registry(registry, config).challenge(weights, use, now=time.time())
    _show(standing, as_json=as_json)


@models.command("promote")
def promote(*, registry: _Registry = None, config: _Config = None, as_json: _Json = False) -> None:
    """Let the challenger serve at once; the champion before watches it."""
    _move(lambda standing: promoted(standing, now=time.time()), registry, config, as_json=as_json)


@models.command("rollback")
def rollback(*, registry: _Registry = None, config: _Config = None, as_json: _Json = False) -> None:
    """Let the champion before this one serve again."""
    _move(lambda standing: rolled_back(standing, now=time.time()), registry, config, as_json=as_json)


@models.command("status")
def status(*, registry: _Registry = None, config: _Config = None, as_json: _Json = False) -> None:
    """Show who serves, who is compared, and what happened."""
    with _told():
        standing = _registry(registry, config).standing()
    _show(standing, as_json=as_json)


def _move(move: Callable[[Standing], Standing], registry: Path | None, config: Path | None, *, as_json: bool) -> None:
    with _told():
        standing = _registry(registry, config).change(move)
    _show(standing, as_json=as_json)


def _registry(folder: Path | None, config: Path | None) -> Registry:
    folder = folder or read_config(config).learning.registry
    if folder is None:
        raise BadUsage("no registry is named", where="--registry", advice="name its folder, or set learning.registry")
    return Registry(folder)


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except (RegistryError, WeightsError, NotNow) as error:
        raise CommandFailed(str(error)) from error


def _role(version: str, standing: Standing) -> str:
    if version == standing.champion:
        return "champion"
    contest = standing.contest
    return contest.role if contest is not None and contest.rival == version else ""


def _show(standing: Standing, *, as_json: bool) -> None:
    contest = standing.contest
    if as_json:
        evidence = None if contest is None else _figures(contest.evidence)
        compared = None if contest is None else {"rival": contest.rival, "role": contest.role, "since": contest.since}
        events = [
            {**msgspec.to_builtins(event), "evidence": event.evidence and _figures(event.evidence)}
            for event in standing.events
        ]
        said = {"champion": standing.champion, "contest": compared, "evidence": evidence, "events": events}
        print(json.dumps(said))
        return
    print(f"champion  {standing.champion}")
    if contest is not None:
        print(f"{contest.role:9} {contest.rival} since {_day(contest.since)}: {_words(contest.evidence)}")
    for event in standing.events:
        on = "" if event.evidence is None else f"; {_words(event.evidence)}"
        print(f"{_day(event.at)}  {event.what:11} {event.version}: {event.why}{on}")


def _figures(evidence: Evidence) -> dict[str, Any]:
    return {
        "requests": evidence.n,
        "most": MOST,
        "mean_difference": evidence.mean,
        "log_e_better": evidence.log_better,
        "log_e_worse": evidence.log_worse,
        "alpha": ALPHA,
    }


def _words(evidence: Evidence) -> str:
    if evidence.mean is None:
        return "no request yet"
    ahead = max(("better", evidence.log_better), ("worse", evidence.log_worse), key=lambda side: side[1])
    return (
        f"{evidence.n} requests, mean loss {-evidence.mean:+.4f} beside the champion's, ln e({ahead[0]}) {ahead[1]:.2f}"
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
