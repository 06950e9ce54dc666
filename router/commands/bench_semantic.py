"""`tandem bench semantic`: how often the semantic cache is wrong, how often it hits, and what it costs."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classifier.base import WeightsError
from router.commands.errors import CommandFailed


def bench_semantic(
    *,
    seed: Annotated[int, typer.Option(help="Of pairs and questions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure kept replies by meaning on pairs that are hard to tell apart; exit 1 where a goal is missed."""
    from router.bench.semantic import measure_semantic  # noqa: PLC0415  (loads numpy and the vectors of words)

    console = Console(stderr=True)
    try:
        report = measure_semantic(seed=seed, say=console.print)
    except WeightsError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        goals = [asdict(goal) for goal in report.goals]
        print(json.dumps({"goals": goals, "details": report.details}, ensure_ascii=False))
    else:
        table = Table("figure", "measured", "goal", "met")
        for goal in report.goals:
            table.add_row(goal.name, f"{goal.value:.3g}", f"at {goal.at} {goal.goal:g}", "yes" if goal.met else "NO")
        Console().print(table)
    if not all(goal.met for goal in report.goals):
        raise typer.Exit(1)
