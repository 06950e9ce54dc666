"""`tandem bench engine`: what batching, prefixes, streaming and fewer bits give, measured on both engines."""

import json
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from router.bench.companions import BenchError
from router.bench.engine import Report, measure_engine
from router.commands.errors import CommandFailed

_NEEDED: Final = ("torch", "transformers", "tokenizers", "safetensors", "gguf")
_INSTALL: Final = (
    "install the extra [train], with torch built for the CPU: .venv/bin/uv pip install "
    "-r deploy/locks/train.txt torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu"
)
_WIDTH: Final = 110


def bench_engine(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Leave the CPU out where there is a CUDA device.")] = False,
) -> None:
    """Measure the engines, on a CUDA device too where there is one; exit 1 where a goal is missed."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise CommandFailed(f"{', '.join(missing)} cannot be imported", advice=_INSTALL)
    console = Console(stderr=True)
    with console.status("starting") as status:
        say = status.update if console.is_terminal else console.print
        try:
            report = measure_engine(gpu=gpu, say=say)
        except BenchError as error:
            raise CommandFailed(str(error)) from error
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        _show(report)
    if not all(goal.met for goal in report.goals):
        raise typer.Exit(1)


def _show(report: Report) -> None:
    """Print goals, claims, and where all of it was measured."""
    table = Table("figure", "measured", "goal", "met")
    for goal in report.goals:
        table.add_row(goal.name, f"{goal.value:.3g}", goal.wanted, "yes" if goal.met else "NO")
    claims = Table("claimed", "times", "measured", "times", show_lines=True)
    for claim in report.claims:
        ratio = "-" if claim.ratio is None else f"{claim.ratio:.2f}"
        claims.add_row(claim.claimed, f"{claim.claimed_ratio:.2f}", claim.measured, ratio)
    console = Console(width=max(_WIDTH, Console().width))
    console.print(table, _serving(report.details), claims)
    gpu = report.details["gpu"]
    console.print(f"GPU: {gpu['device'] if isinstance(gpu, dict) else gpu}", markup=False)
    console.print(", ".join(f"{name} {value}" for name, value in report.machine.items()), markup=False)


def _serving(details: dict[str, Any]) -> Table:
    """Return what each model gives behind its engine, on the CPU."""
    table = Table("engine", "model", "tokens/s alone", "16 at once", "times", "by CPU", "first token of whole")
    for each in details.get("serving", ()):
        table.add_row(
            each["engine"],
            each["kind"],
            f"{each['tokens_per_second_alone']:.0f}",
            f"{each['tokens_per_second_at_once']:.0f}",
            f"{each['batching']['ratio']:.2f}",
            f"{each['batching']['cpu_ratio']:.2f}",
            f"{each['first_share_of_whole']:.3f}",
        )
    return table
