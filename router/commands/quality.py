"""`tandem quality`: the ledger -> how good replies were, as far as that can be told without reading them.

By who answered and by arm of an experiment; each share with its interval, how many it is of, and how much of all was
looked at. Knows how to show it, not what it is.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from typer import Option

from router.commands.places import place_of, telling
from router.commands.times import seconds_of
from router.config.models import Config
from router.config.reading import read_config
from router.ledger.conversations import iter_conversations
from router.ledger.place import LedgerPlace, reading
from router.ledger.reply_counts import iter_compared, read_counts
from router.quality.rates import MISSING, Mean, Part, judge_shares, parts_by_arm, parts_by_tier
from router.quality.resolution import HOUR, Resolution, resolutions
from router.quality.signals import REGENERATED_WITHIN
from router.quality.win_rates import FEWEST_LABELS, WinRate

UNKNOWN = (
    "regenerated is known of requests with reply keys alone, which the ledger has where ledger.reply_keys is set, or"
    " replies are kept"
)
WIDTH = 110  # columns, so that a file or a pipe gets whole rows
_NOTHING = "-"


def quality(
    *,
    ledger: Annotated[str | None, Option(help="The ledger's file or address; else the configuration's.")] = None,
    config: Annotated[Path | None, Option(help="The configuration file that names the ledger.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01 or 2026-11-01T08:00Z.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how good replies were: loops, refusals, empty and cut ones, checks, judges, users and resolution."""
    begin, place = seconds_of(since), place_of(ledger, config)
    chosen = Config() if ledger is not None and config is None else read_config(config)
    with telling(place):
        found = _read(place, since=begin, chosen=chosen)
        if as_json:
            print(json.dumps({"since": since, **found.as_json()}, ensure_ascii=False))
        else:
            found.show(Console(width=WIDTH, highlight=False))


class _Found:
    """What the ledger tells."""

    def __init__(
        self,
        tiers: Mapping[str, Part],
        arms: Mapping[tuple[str, str], Part],
        resolved: Mapping[tuple[str, str], Resolution],
    ) -> None:
        self.tiers, self.arms, self.resolved = tiers, arms, resolved

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "by_tier": {tier: part.as_json() for tier, part in self.tiers.items()},
            "by_arm": [
                {"experiment": experiment, "arm": arm, **part.as_json()}
                for (experiment, arm), part in self.arms.items()
            ],
            "resolution": [
                {
                    "experiment": experiment,
                    "arm": arm,
                    **asdict(each),
                    "rate": each.rate,
                    "interval_95": None if each.interval is None else list(each.interval),
                }
                for (experiment, arm), each in self.resolved.items()
            ],
            "missing": MISSING,
        }

    def show(self, console: Console) -> None:
        """Print it for people."""
        if not self.tiers:
            console.print("no reply of a backend stands in the ledger for this time")
            return
        for named in (self.tiers, *_by_experiment(self.arms)):
            console.print(_rates(named))
            if told := _users(named):
                console.print(told)
        if not all(part.counts.known for part in self.tiers.values()):
            console.print(UNKNOWN)
        for (experiment, arm), each in self.resolved.items():
            whose = f"{experiment}/{arm}" if experiment else "outside of experiments"
            console.print(f"resolution, {whose}: {_resolved(each)}")
        console.print(MISSING)


def _read(place: LedgerPlace, *, since: float, chosen: Config) -> _Found:
    hours = {name: tenant.resolution_hours for name, tenant in chosen.tenants.items() if tenant.resolution_hours}
    now = time.time()
    with reading(place) as opened:
        counts = read_counts(opened, since=since, asked_again_within=REGENERATED_WITHIN)
        compared = list(iter_compared(opened, since=since))
        resolved = resolutions(
            iter_conversations(opened, since=since, until=now),
            now=now,
            complex_from=chosen.quality.complex_from,
            window_of=lambda tenant: HOUR * hours.get(tenant, chosen.quality.resolution_hours),
        )
    return _Found(parts_by_tier(counts, compared), parts_by_arm(counts, compared), resolved)


def _by_experiment(arms: Mapping[tuple[str, str], Part]) -> Iterable[Mapping[str, Part]]:
    """Return the arms of each experiment by themselves, so that a table has no more columns than people can read."""
    found: dict[str, dict[str, Part]] = {}
    for (experiment, arm), part in arms.items():
        found.setdefault(experiment, {})[f"{experiment}/{arm}"] = part
    return found.values()


def _rates(parts: Mapping[str, Part]) -> Table:
    table = Table("", *parts, box=SIMPLE_HEAD)
    table.add_row("answered", *(str(part.counts.answered) for part in parts.values()))
    table.add_row("looked at", *(_rate(part.coverage.as_json()) for part in parts.values()))
    for name in next(iter(parts.values())).rates:
        table.add_row(name.replace("_", " "), *(_rate(part.rates[name].as_json()) for part in parts.values()))
    table.add_row("mean log-probability", *(_logprob(part.mean_logprob) for part in parts.values()))
    judges = {name for part in parts.values() for name in part.judged}
    for name in sorted({name for part in parts.values() for name in part.agreement}):
        raw = "raw agreement" if name in judges else "agreement"
        shown = (part.agreement.get(name) for part in parts.values())
        table.add_row(f"{raw}, {name}", *(_NOTHING if rate is None else _rate(rate.as_json()) for rate in shown))
    for name in sorted(judges):
        told = [_judged(part.judged.get(name)) for part in parts.values()]
        for title in next(filter(None, told)):
            table.add_row(f"{title}, {name}", *(cells.get(title, _NOTHING) for cells in told))
    return table


def _users(parts: Mapping[str, Part]) -> Table | None:
    """Return what users told; None where they told nothing."""
    kinds = sorted({f"{told.kind} by {told.teller}" for part in parts.values() for told in part.counts.told})
    table = Table("", *parts, box=SIMPLE_HEAD)
    for kind in kinds:
        cells = []
        for part in parts.values():
            told = next((each for each in part.counts.told if f"{each.kind} by {each.teller}" == kind), None)
            mean = _NOTHING if told is None else f"{told.value / told.requests:.2f} of {told.requests}"
            cells.append(mean if told is None or not told.repeats else f"{mean}, {told.repeats} again")
        table.add_row(kind, *cells)
    return table if kinds else None


def _rate(told: Mapping[str, Any]) -> str:
    if told["value"] is None:
        return _NOTHING
    return f"{told['value']:.2%} [{told['low']:.2%}, {told['high']:.2%}] of {told['of']}"


def _logprob(mean: Mean) -> str:
    if mean.value is None:
        return _NOTHING
    doubt = "no interval, of one user" if mean.interval is None else f"[{mean.interval[0]:.3f}, {mean.interval[1]:.3f}]"
    return f"{mean.value:.3f} {doubt} of {mean.of}"


def _judged(won: WinRate | None) -> dict[str, str]:
    """Return what is told of a judge, before and after people's labels; nothing where it judged nothing."""
    if won is None:
        return {}
    shares = {name: _rate(share.as_json()) for name, share in judge_shares(won).items()}
    return {
        "raw win rate": shares["raw_win_rate"],
        "debiased win rate": _debiased(won),
        "inconsistent orders": shares["inconsistency"],
        "labelled by people": shares["labelled"],
    }


def _debiased(won: WinRate) -> str:
    found = won.corrected
    if found is not None:
        return f"{found.value:.2%} [{found.low:.2%}, {found.high:.2%}] of {won.pairs}, {won.labels} by people"
    if won.labels < FEWEST_LABELS:
        return f"not known: people labelled {won.labels} of {won.pairs}, and {FEWEST_LABELS} are needed"
    return f"not known: all {won.pairs} are of one user"


def _resolved(each: Resolution) -> str:
    rest = f"{each.pending} pending, {each.simple} simple, {each.unscored} without a score"
    if each.rate is None or each.interval is None:
        return f"no complex conversation is closed; {rest}"
    low, high = each.interval
    return (
        f"{each.rate:.1%} [{low:.1%}, {high:.1%}] of {each.closed} complex conversations that are closed,"
        f" {each.abandoned} abandoned, {each.heard} with a word of their user; {rest}"
    )
