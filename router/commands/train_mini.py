"""What Large answered -> a LoRA adapter for Mini, examined before and after.

The feedback loop that moves traffic from Large to Mini. What is learnt comes from the ledger's sampled conversations,
from a file, or from a made-up customer of the local models' shop, by which the loop can be seen without any traffic.
"""

import asyncio
import importlib
import json
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from typer import Exit, Option

from backends.base import BackendError, Usage
from backends.engines.base import ModelRefused
from backends.engines.distilling.base import Exam, Example, ExamplesError, Say, Verdict
from backends.engines.distilling.card import Outcome, cells
from backends.engines.distilling.examples import COLUMNS, examples_of, split
from backends.engines.options import MODELS
from classifier.tables import TableError, read_rows
from router.commands.errors import CommandFailed
from router.commands.places import place_of, telling
from router.commands.times import seconds_of
from router.commands.writing import writing
from router.config.models import Config
from router.config.reading import read_config
from router.learning.teaching import Kept, ask_large, cases_of, kept_conversations
from router.ledger.money import cost, usd
from router.ledger.prices import PriceBookError
from router.ledger.prices import load as load_prices

LEDGER: Final = "ledger"
DESK: Final = "desk"
"""A customer of the shop that the local models know."""

ASKED: Final = 1_000
"""Questions of each part of the desk's examination."""

_NEEDED: Final = ("torch", "transformers", "tokenizers", "peft", "gguf")
_INSTALL: Final = (
    "install the extra [train], with torch built for the CPU: .venv/bin/uv pip install "
    "-r deploy/locks/train.txt torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu"
)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where conversations come from, beside the file's path or the word."""

    name: str
    config: Path | None
    ledger: str | None
    since: float
    tenants: tuple[str, ...]
    most: int
    seed: int
    customer: int


def train_mini(  # noqa: PLR0913 - each is an option of the command line
    *,
    source: Annotated[
        str,
        Option(
            "--from",
            help='"ledger", and Large is asked again; a file of rows with prompt or messages, and answer; '
            'or "desk", a made-up customer of the local models.',
        ),
    ],
    out: Annotated[Path, Option(help="The folder for adapter and card.")],
    base: Annotated[Path | None, Option(help="Mini: a GGUF of the desk, or a folder; none is the shipped one.")] = None,
    name: Annotated[str, Option(help="What the adapter will be served as.")] = "own",
    config: Annotated[Path | None, Option(help="The configuration that names ledger and Large.")] = None,
    ledger: Annotated[
        str | None, Option(help="The ledger's file, or postgresql://...; else the configuration's.")
    ] = None,
    since: Annotated[str | None, Option(help="Of the ledger: ISO 8601, such as 2026-11-01T08:00Z.")] = None,
    tenant: Annotated[list[str] | None, Option(help="Of the ledger: whose conversations; may be repeated.")] = None,
    most: Annotated[int, Option(min=50, max=1_000_000, help="Conversations that Large is asked.")] = 8_000,
    customer: Annotated[int, Option(help="Of the desk: which customer.")] = 0,
    rank: Annotated[int, Option(min=1, max=256, help="Of the adapter.")] = 16,
    epochs: Annotated[int, Option(min=1, help="How often each example is seen.")] = 30,
    learning_rate: Annotated[float | None, Option(min=0, help="At its highest; none takes one by width.")] = None,
    margin: Annotated[float, Option(min=0, max=1, help="Share of simple questions that may be lost.")] = 0.01,
    seed: Annotated[int, Option(help="Of the split, the adapter and the order.")] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option(help="What trains.")] = "auto",
    threads: Annotated[int, Option(min=1, help="Of the CPU; one makes a training repeatable.")] = 1,
    as_json: Annotated[bool, Option("--json", help="Print the card as one JSON object.")] = False,
) -> None:
    """Train, examine, write; exit 1 where the adapter should not be deployed."""
    begin = seconds_of(since)
    if missing := [each for each in _NEEDED if find_spec(each) is None]:
        raise CommandFailed(f"{', '.join(missing)} cannot be imported", advice=_INSTALL)
    with writing(out):  # said before the training, which takes its time
        out.mkdir(parents=True, exist_ok=True)
    asked = _Source(source, config, ledger, begin, tuple(tenant or ()), most, seed, customer)
    students, lora, tuning = (
        importlib.import_module(f"backends.engines.distilling.{module}")  # they hold torch
        for module in ("students", "lora", "tuning")
    )
    recipe = lora.Recipe(rank, epochs, learning_rate or None, seed, device, threads)
    try:
        with _progress() as say:
            student = students.open_student(base or MODELS / "desk-mini.gguf")  # before Large is asked for money
            origin, examples, exam = _gathered(asked, say)
            wanted = tuning.Wanted(name, origin, margin)
            with writing(out):
                outcome = tuning.tune(student, examples, exam, recipe, wanted=wanted, out=out, say=say)
    except (ExamplesError, TableError, ModelRefused) as error:
        raise CommandFailed(str(error)) from error
    except BackendError as error:
        raise CommandFailed(
            f"a model does not answer: {error}", advice="./tandem doctor checks this machine"
        ) from error
    print(json.dumps({"folder": str(out), **outcome.as_json()}) if as_json else _sentences(out, outcome))
    if outcome.verdict is not Verdict.DEPLOY:
        raise Exit(1)


def _gathered(asked: _Source, say: Say) -> tuple[str, Sequence[Example], Exam]:
    """Return where the examples come from, the examples, and what Mini is asked before and after."""
    if asked.name == DESK:
        desk = importlib.import_module("backends.engines.distilling.desk_lessons")  # holds torch
        lessons = desk.lessons(customer=asked.customer, count=asked.most, asked=ASKED, say=say)
        return f"customer {asked.customer} of the desk", *asyncio.run(lessons)
    if asked.name == LEDGER:
        found, origin = _from_ledger(asked, say), "a ledger"
    else:
        path = Path(asked.name)
        found, origin = examples_of(read_rows(path, columns=COLUMNS), path), path.name
    taught, examined = split(found, seed=asked.seed)
    return origin, taught, Exam(cases_of(examined), {})


def _from_ledger(asked: _Source, say: Say) -> list[Example]:
    config = read_config(asked.config)
    place = place_of(asked.ledger, asked.config)
    with telling(place):
        kept, left_out = kept_conversations(place, tenants=asked.tenants, since=asked.since, most=asked.most)
    if not kept:
        raise CommandFailed(
            f"no conversation to learn from; left out: {_counted(left_out)}",
            where=str(place),
            advice="serve with learning.shadow above 0 and learning.keep_text on",
        )
    return asyncio.run(_ask(config, kept, left_out, say))


async def _ask(config: Config, kept: Sequence[Kept], left_out: Counter[str], say: Say) -> list[Example]:
    options, done = config.backends.large, 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        say(f"Large answered {done} of {len(kept)} conversations")

    large = options.build()
    try:
        taught = await ask_large(large, options.model, kept, asked=told)
    finally:
        await large.aclose()
    left_out += taught.left_out
    say(f"Large's answers cost {_cost(config, taught.usage)}; left out: {_counted(left_out)}")
    return taught.examples


def _cost(config: Config, usage: Sequence[Usage]) -> str:
    tokens = sum(each.total_input + each.total_output for each in usage)
    try:
        price = load_prices(config.prices).price_of(config.backends.large.price)
    except PriceBookError:
        price = None
    paid = [None if price is None else cost(price, each) for each in usage]
    known = [each for each in paid if each is not None]
    spent = f"{usd(sum(known))} USD" if price is not None and len(known) == len(paid) else "an unknown price"
    return f"{spent} for {tokens} tokens"


def _counted(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())) or "none"


@contextmanager
def _progress() -> Generator[Say, None, None]:
    """Yield what is told of each step: a moving bar where a person looks at it, else a line each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    with Progress(BarColumn(), TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda line: bar.update(task, description=line)


def _sentences(out: Path, outcome: Outcome) -> str:
    rows = [f"{part.value:10} {cells(compared)}" for part, compared in outcome.parts.items()]
    return "\n".join(["part       before | after | gain | Large", *rows, f"{out}: {outcome.sentence}"])
