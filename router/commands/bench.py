"""`tandem bench`: measures the gateway against a mock upstream, how it routes, and what the engines give."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classifier.pairs import PairsError
from router.bench.callers import CONNECTIONS, SECONDS
from router.bench.companions import BenchError
from router.bench.endurance import measure_endurance
from router.bench.gateway import ROUNDS, Report, measure_gateway
from router.bench.peers.comparing import measure_peers
from router.bench.routing import measure_decisions, measure_pool
from router.commands.bench_cascade import bench_cascade
from router.commands.bench_engine import bench_engine
from router.commands.bench_numbers import bench_numbers
from router.commands.bench_semantic import bench_semantic
from router.commands.errors import BadUsage, CommandFailed
from router.commands.goals import tell_goals

bench = typer.Typer(no_args_is_help=True)
bench.command("cascade")(bench_cascade)
bench.command("engine")(bench_engine)
bench.command("numbers")(bench_numbers)
bench.command("semantic")(bench_semantic)


@bench.callback()
def _benches() -> None:
    """Measure on this machine; figures of two machines do not compare."""


@bench.command("gateway")
def bench_gateway(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds of load in each round.")] = SECONDS,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Connections of the load.")] = CONNECTIONS,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; figures are medians over them.")] = ROUNDS,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with other gateways, which it installs.")] = False,
) -> None:
    """Measure CPU a request and a chunk, memory, start and lost records; exit 1 where a goal is missed."""
    measure = measure_peers if peers else measure_gateway
    console = Console(stderr=True)
    with console.status("starting") as status:
        say = status.update if console.is_terminal else console.print
        try:
            report = measure(seconds=seconds, connections=connections, rounds=rounds, say=say)
        except BenchError as error:
            raise CommandFailed(str(error)) from error
    _tell(report, as_json=as_json)


@bench.command("endurance")
def bench_endurance(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    streams: Annotated[int, typer.Option(min=1, help="Streams held open at once.")] = 5_000,
    minutes: Annotated[float, typer.Option(min=0.05, help="Minutes that they are held.")] = 10.0,
    requests: Annotated[int, typer.Option(min=100, help="Requests one after the other.")] = 1_000_000,
) -> None:
    """Measure added waiting, an overload, open streams and memory; exit 1 where a goal is missed."""
    console = Console(stderr=True)
    try:
        report = measure_endurance(streams=streams, minutes=minutes, requests=requests, say=console.print)
    except BenchError as error:
        raise CommandFailed(str(error)) from error
    _tell(report, as_json=as_json)


@bench.command("routing")
def bench_routing(
    *,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled files with id, source and weak_model; none: decisions alone.")
    ] = None,
    outcomes: Annotated[Path | None, typer.Option(help="What many models scored on the same prompts.")] = None,
    seed: Annotated[int, typer.Option(help="Of folds, draws and edits.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what a decision costs and, with data, how well it routes; exit 1 where a goal is missed."""
    if bool(data) is (outcomes is None):
        raise BadUsage("files of pairs need outcomes and outcomes need pairs", where="--data", advice="name both")
    console = Console(stderr=True)
    try:
        reports = [measure_decisions(seed=seed, say=console.print)]
        if data and outcomes:
            reports.append(measure_pool(data, outcomes, seed=seed, say=console.print))
    except PairsError as error:
        raise CommandFailed(str(error)) from error
    goals = [goal for report in reports for goal in report.goals]
    details = {name: value for report in reports for name, value in report.details.items()}
    tell_goals(goals, {"details": details}, as_json=as_json)


def _tell(report: Report, *, as_json: bool) -> None:
    beside = {"details": report.details, "machine": report.machine}
    tell_goals(report.goals, beside, as_json=as_json, shown=_beside(report))


def _beside(report: Report) -> Iterator[Table | str]:
    """Yield what was measured beside the goals, and the machine."""
    median = report.details["median"]
    beside = Table("beside it", "measured")
    for name, value in median.items() if isinstance(median, dict) else ():
        beside.add_row(name, _shown(value))
    if beside.row_count:
        yield beside
    yield ", ".join(f"{name} {value}" for name, value in report.machine.items())
    if report.details["first_error"]:
        yield f"first error: {report.details['first_error']}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each:g}" for name, each in value.items())
    return f"{value:g}"
