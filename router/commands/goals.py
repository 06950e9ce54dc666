"""Goals of a bench -> a table for people or one JSON object, and the exit code."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from router.bench.goals import Goal

_WIDTH: Final = 110  # columns of what is written to a file or a pipe
_WHOLE_FROM: Final = 10_000  # above it, digits behind the point say nothing, and an exponent is hard to read


def tell_goals(
    goals: Sequence[Goal], beside: Mapping[str, object], *, as_json: bool, shown: Iterable[Table | str] = ()
) -> None:
    """Print goals, and exit with 1 where one is missed.

    Args:
        beside: what stands beside `goals` in the JSON object, plain JSON values.
        shown: what people see below the table of goals; not looked at where JSON is printed.

    Raises:
        typer.Exit: a goal is missed.
    """
    if as_json:
        print(json.dumps({"goals": [asdict(goal) for goal in goals], **beside}, ensure_ascii=False))
    else:
        console = Console()
        if not console.is_terminal:
            console.width = max(_WIDTH, console.width)
        console.print(_table(goals))
        for each in shown:
            console.print(each, markup=False, soft_wrap=isinstance(each, str))
    if not all(goal.met for goal in goals):
        raise typer.Exit(1)


def _table(goals: Sequence[Goal]) -> Table:
    table = Table("figure", "measured", "goal", "met")
    for goal in goals:
        table.add_row(goal.name, _figure(goal.value), goal.wanted, "yes" if goal.met else "NO")
    return table


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"
