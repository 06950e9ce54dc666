"""`tandem bench semantic`: how often the semantic cache is wrong, how often it hits, and what it costs."""

from typing import Annotated

import typer
from rich.console import Console

from classifier.base import WeightsError
from router.commands.errors import CommandFailed
from router.commands.goals import tell_goals


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
    tell_goals(report.goals, {"details": report.details}, as_json=as_json)
