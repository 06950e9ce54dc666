"""`tandem bench cascade`: what verification saves, measured on the local models."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from router.bench.cascade import CLASSIFIERS, QUESTIONS, measure_cascade
from router.bench.companions import BenchError
from router.commands.errors import CommandFailed
from router.commands.goals import tell_goals

_NANO = 1e9


def bench_cascade(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    questions: Annotated[int, typer.Option(min=20, max=5_000, help="Questions to both local models.")] = QUESTIONS,
    seed: Annotated[int, typer.Option(help="Draws questions and resamples.")] = 1,
) -> None:
    """Measure spend at equal accuracy against the prompt-only policy; exit 1 where a goal is missed."""
    console = Console(stderr=True)
    with console.status("starting") as status:
        say = status.update if console.is_terminal else console.print
        try:
            report = measure_cascade(questions=questions, seed=seed, say=say)
        except BenchError as error:
            raise CommandFailed(str(error)) from error
    tell_goals(report.goals, report.details, as_json=as_json, shown=_beside(report.details))


def _beside(told: Mapping[str, Any]) -> Iterator[Table | str]:
    """Yield each setting beside the prompt-only policy that is as accurate, and what decides how much can be saved."""
    table = Table("classifier", "cascade", "complex right", "USD", "prompt only USD", "difference (95 % interval)")
    for name in CLASSIFIERS:
        for setting, found in told[name]["cascade"].items():
            change, low, high = (found[key] / found["matched"] for key in ("difference", "low", "high"))
            table.add_row(
                name,
                setting,
                f"{found['accuracy']:.1%}",
                f"{found['spend'] / _NANO:.6f}",
                f"{found['matched'] / _NANO:.6f}",
                f"{change:+.1%} ({low:+.1%} to {high:+.1%})",
            )
    yield table
    models = told["models"]
    yield (
        f"{told['questions']} questions, {told['complex']} complex. Mini alone is right on "
        f"{models['mini_complex']['right']} of these, Large on {models['large_complex']['right']}; "
        f"a call to Mini costs {models['mini_cost_share']:.0%} of one to Large."
    )
