"""`tandem bench engine`: what batching, prefixes, streaming and fewer bits give, measured on both engines."""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from router.bench.companions import BenchError
from router.bench.engine import Report, measure_engine
from router.commands.errors import CommandFailed
from router.commands.goals import tell_goals

_NEEDED: Final = ("torch", "transformers", "tokenizers", "safetensors", "gguf")
_INSTALL: Final = (
    "install the extra [train], with torch built for the CPU: .venv/bin/uv pip install "
    "-r deploy/locks/train.txt torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu"
)


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
    beside = {
        "claims": [asdict(claim) for claim in report.claims],
        "details": report.details,
        "machine": report.machine,
    }
    tell_goals(report.goals, beside, as_json=as_json, shown=_beside(report))


def _beside(report: Report) -> Iterator[Table | str]:
    """Yield what the engines serve, what was claimed elsewhere, and where all of it was measured."""
    claims = Table("claimed", "times", "measured", "times", show_lines=True)
    for claim in report.claims:
        ratio = "-" if claim.ratio is None else f"{claim.ratio:.2f}"
        claims.add_row(claim.claimed, f"{claim.claimed_ratio:.2f}", claim.measured, ratio)
    gpu = report.details["gpu"]
    yield _serving(report.details)
    yield claims
    yield f"GPU: {gpu['device'] if isinstance(gpu, dict) else gpu}"
    yield ", ".join(f"{name} {value}" for name, value in report.machine.items())


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
