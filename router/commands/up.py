"""`tandem up`: the whole house on this machine, shown at work, then left running.

Starts the gateway (which starts its models, its cache and its ledger), sends the sample workload through
it under four policies, prints what came of it, and stays until Ctrl-C.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from typer import Option

from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.questions import Difficulty
from router.commands.child import GatewayChild
from router.commands.errors import BadUsage, CommandFailed
from router.commands.showing import MARGIN, Comparison, compare
from router.config.reading import read_config

WIDTH = 100  # columns, so that a file or a pipe gets whole rows
_NAMES = {
    "large": "all Large",
    "mini": "all Mini",
    "random": "random",
    "tandem": "Tandem",
}


def up(
    *,
    config: Annotated[Path | None, Option(help="Configuration file; none means two local models.")] = None,
    port: Annotated[int | None, Option(help="Port to listen on, 8080 unless configured.")] = None,
    once: Annotated[bool, Option("--once", help="Stop after the table.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of the table.")] = False,
    requests: Annotated[int, Option(min=20, max=2000, help="Sample requests under each policy.")] = 200,
    seed: Annotated[int, Option(help="Draws the sample requests.")] = 1,
    key: Annotated[str | None, Option(envvar="TANDEM_KEY", help="API key, where keys are configured.")] = None,
) -> None:
    """Start everything, send the sample requests, show the table, stay up."""
    if port == 0:
        raise BadUsage("port 0 is no address to come back to", where="--port", advice="name one, such as 8081")
    chosen = read_config(config, port=port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as Ctrl-C does
    with GatewayChild(config, server=chosen.server) as child:
        _say(f"starting the gateway on {child.url} ...")
        child.wait_until_ready(seconds=60)
        _say(f"sending {requests} sample requests under each of {len(_NAMES)} policies ...")
        comparison = asyncio.run(compare(child.url, ledger=chosen.ledger.place, requests=requests, seed=seed, key=key))
        if as_json:
            print(json.dumps(comparison.as_dict()), flush=True)
        else:
            _print_table(comparison)
        if once:
            return
        _say(
            f"\nTandem is up. OpenAI's API: {child.url}/v1   Dashboard: {child.url}/dashboard\nCtrl-C stops everything."
        )
        try:
            code = child.wait()
        except KeyboardInterrupt:
            _say("\nstopping ...")
            return
        raise CommandFailed(f"the gateway ended by itself with exit code {code}", advice="its messages stand above")


def _say(text: str) -> None:
    """Tell a person how far it is; never on standard output, which is for results."""
    print(text, file=sys.stderr, flush=True)


def _print_table(comparison: Comparison) -> None:
    table = Table("", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("Large/Mini/cache %", "cost USD", "saved", "simple right", "complex right", "TTFT ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, words in _NAMES.items():
        run = comparison.runs[name]
        table.add_row(
            words,
            "/".join(f"{run.share(source) * 100:.0f}" for source in ("large", "mini", "cache")),
            f"{run.cost / 1e9:.6f}",
            "" if name == "large" else f"{comparison.saved(name):.1%}",
            *(_right(run.accuracy(difficulty)) for difficulty in Difficulty),
            f"{run.first_token(50) * 1e3:.0f}/{run.first_token(95) * 1e3:.0f}",
        )
    difference, low, high = comparison.complex_difference()
    console = Console(width=max(WIDTH, Console().width))
    console.print(table)
    console.print(
        "Replies are compared with the true answers; in brackets the 95 % interval of the share in %.\n"
        "TTFT: time to first token, p50/p95. random sends Large the share that Tandem did. Saved: against\n"
        "all Large without a cache.\n"
        f"Complex requests solved, Tandem less all Large: {difference * 100:+.1f} points "
        f"(95 % interval {low * 100:+.1f} to {high * 100:+.1f}; margin -{MARGIN * 100:.0f}).",
        highlight=False,
        markup=False,
    )


def _right(accuracy: Accuracy) -> str:
    low, high = accuracy.interval()
    return f"{accuracy.right}/{accuracy.asked} ({low * 100:.0f}-{high * 100:.0f})"
