"""`tandem bench numbers`: holds what Tandem says of money, quality and experiments against simulations of the truth."""

from typing import Annotated

import typer
from rich.console import Console

from router.bench.goals import Goal
from router.commands.errors import BadUsage
from router.commands.goals import tell_goals


def bench_numbers(
    *,
    only: Annotated[list[str] | None, typer.Option("--only", help="Parts to measure; none: all of them.")] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the runs: a look, not a figure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure costs, ledger, intervals, experiments, replay, thresholds and alarms; exit 1 where a goal is missed."""
    from router.bench.numbers.running import PARTS, measured  # noqa: PLC0415  (loads numpy)

    unknown = [name for name in only or () if name not in PARTS]
    if unknown:
        raise BadUsage(f"there is no part {unknown[0]!r}", where="--only", advice=f"choose of {', '.join(PARTS)}")
    console, found = Console(stderr=True), list[Goal]()
    seconds = dict[str, float]()
    for part, goals, took in measured(only or PARTS, seed=seed, quick=quick):
        console.print(f"{part}: {sum(goal.met for goal in goals)} of {len(goals)} met, {took:.0f} s of CPU")
        found += goals
        seconds[part] = round(took, 1)
    details = {"seed": seed, "quick": quick, "cpu_seconds": seconds}
    tell_goals(found, {"details": details}, as_json=as_json)
