"""`tandem test faults`: breaks everything around the gateway, and counts what it lost."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal, Protocol

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
from router.bench.faults.shared_limits import run_shared_limits
from router.bench.faults.torture import run_torture
from router.commands.errors import CommandFailed

REQUESTS = 2_000

Say = Callable[[str], None]


class Run(Protocol):
    """One run, which says how far it is."""

    def __call__(self, *, say: Say) -> Coroutine[Any, Any, Report]:
        """Return what it has shown."""
        ...


def faults(  # noqa: PLR0913 - each is an option of the command line
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
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on limits that they share; kill some, and Redis.")
    ] = None,
    torture: Annotated[
        bool, typer.Option("--torture", help="Let each call of ledger, Redis and backend fail once, in each way.")
    ] = False,
    fuzz: Annotated[int | None, typer.Option(min=1, help="Generated requests over HTTP.")] = None,
    cuts: Annotated[
        bool, typer.Option("--cuts", help="Cut a stream at each byte and read it by the OpenAI SDK.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Break everything around the gateway; exit 1 where something was lost, doubled, hung or silently cut."""
    asked: dict[str, Run | Literal[False]] = {
        "kills": kills is not None and partial(run_kills, seed=seed, kills=kills),
        "redis": redis and partial(run_redis, seed=seed),
        "overload": overload and partial(run_overload, seed=seed),
        "workers": workers is not None and partial(run_shared_limits, seed=seed, workers=workers),
        "torture": torture and partial(run_torture, seed=seed),
        "cuts": cuts and partial(run_cuts, seed=seed),
        "fuzz": fuzz is not None and partial(run_fuzz, seed=seed, requests=fuzz),
    }
    chosen = {name: run for name, run in asked.items() if run}
    if requests or not chosen:
        chosen = {"mixed": partial(run_mixed, seed=seed, requests=requests or REQUESTS), **chosen}
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
                reports[name] = _on_a_loop(run(say=say), loop_of(name))
            except BenchError as error:
                raise CommandFailed(str(error), where=name) from error
    return reports


def loop_of(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop of a run: torture needs sockets of Python's own, whose calls can be made to fail."""
    return asyncio.new_event_loop if name == "torture" else uvloop.new_event_loop


def _on_a_loop(work: Coroutine[Any, Any, Report], loop: Callable[[], asyncio.AbstractEventLoop]) -> Report:
    with asyncio.Runner(loop_factory=loop) as runner:
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
    table = Table("figure", "measured", "goal", "met", "")
    for goal in report.goals:
        table.add_row(goal.name, f"{goal.value:g}", goal.wanted, "yes" if goal.met else "NO", KINDS.get(goal.name, ""))
    console.print(books, table)
    for key, value in report.details.items():
        console.print(f"{key}: {value}", markup=False, highlight=False)
    for finding in report.findings:
        head = f"seed {report.seed}, {finding.kind}, request {finding.request or 'none'}: {finding.what}"
        console.print(head, *(f"    {line}" for line in finding.books), sep="\n", markup=False, highlight=False)
    for skipped in report.skipped:
        console.print(f"SKIPPED {skipped}", markup=False)
