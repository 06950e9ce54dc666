"""`tandem test faults`: breaks everything around the gateway, and counts what it lost."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from router.bench.companions import BenchError
from router.bench.faults.base import Report
from router.bench.faults.checking import KINDS
from router.bench.faults.cuts import run_cuts
from router.bench.faults.fuzz import run_fuzz
from router.bench.faults.kills import run_kills
from router.bench.faults.mixed import run_mixed
from router.bench.faults.overload import run_overload
from router.bench.faults.redis_faults import run_redis
from router.commands.errors import CommandFailed

REQUESTS = 2_000

Say = Callable[[str], None]
Run = Callable[[Say], Coroutine[Any, Any, Report]]


def faults(
    *,
    seed: Annotated[int, typer.Option(help="Of the whole plan: requests, faults and their moments.")] = 1,
    requests: Annotated[
        int | None, typer.Option(min=1, help=f"With mixed faults; {REQUESTS} where nothing else is asked.")
    ] = None,
    kills: Annotated[int | None, typer.Option(min=1, help="SIGKILLs of the gateway under load.")] = None,
    redis: Annotated[
        bool, typer.Option("--redis", help="Let Redis fail in every way, 10 s killed and paused.")
    ] = False,
    overload: Annotated[bool, typer.Option("--overload", help="Ask for three times what the backends can.")] = False,
    fuzz: Annotated[int | None, typer.Option(min=1, help="Generated requests over HTTP.")] = None,
    cuts: Annotated[
        bool, typer.Option("--cuts", help="Cut a stream at each byte and read it by the OpenAI SDK.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Break everything around the gateway; exit 1 where something was lost, doubled, hung or silently cut."""
    chosen: dict[str, Run] = {}
    if requests or not (kills or redis or overload or fuzz or cuts):
        chosen["mixed"] = lambda say: run_mixed(seed=seed, requests=requests or REQUESTS, say=say)
    if kills:
        chosen["kills"] = lambda say: run_kills(seed=seed, kills=kills, say=say)
    if redis:
        chosen["redis"] = lambda say: run_redis(seed=seed, say=say)
    if overload:
        chosen["overload"] = lambda say: run_overload(seed=seed, say=say)
    if cuts:
        chosen["cuts"] = lambda say: run_cuts(seed=seed, say=say)
    if fuzz:
        chosen["fuzz"] = lambda say: run_fuzz(seed=seed, requests=fuzz, say=say)
    reports = _run(chosen)
    if as_json:
        print(json.dumps({"goals": _goals(reports), "runs": {name: asdict(each) for name, each in reports.items()}}))
    else:
        for name, report in reports.items():
            _show(name, report)
    if not all(goal["met"] for goal in _goals(reports)):
        raise typer.Exit(1)


def _run(chosen: dict[str, Run]) -> dict[str, Report]:
    console = Console(stderr=True)
    reports = {}
    with console.status("starting") as status:
        say: Say = status.update if console.is_terminal else console.print
        for name, run in chosen.items():
            try:
                reports[name] = _on_a_loop(run(say))
            except BenchError as error:
                raise CommandFailed(str(error), where=name) from error
    return reports


def _on_a_loop(work: Coroutine[Any, Any, Report]) -> Report:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _goals(reports: dict[str, Report]) -> list[dict[str, object]]:
    return [
        {"name": f"{name}.{goal.name}", "value": goal.value, "goal": goal.goal, "met": goal.met}
        for name, report in reports.items()
        for goal in report.goals
    ]


def _show(name: str, report: Report) -> None:
    """Print the books, the figures beside their goals, and each thing that is wrong with its seed."""
    console = Console()
    books = Table(f"{name}, seed {report.seed}", "")
    for book, said in report.books.items():
        books.add_row(book, json.dumps(said))
    table = Table("figure", "measured", "goal at most", "met", "")
    for goal in report.goals:
        table.add_row(
            goal.name, f"{goal.value:g}", f"{goal.goal:g}", "yes" if goal.met else "NO", KINDS.get(goal.name, "")
        )
    console.print(books, table)
    for key, value in report.details.items():
        console.print(f"{key}: {value}", markup=False, highlight=False)
    for finding in report.findings:
        head = f"seed {report.seed}, {finding.kind}, request {finding.request or 'none'}: {finding.what}"
        console.print(head, *(f"    {line}" for line in finding.books), sep="\n", markup=False, highlight=False)
    for skipped in report.skipped:
        console.print(f"SKIPPED {skipped}", markup=False)
