"""Seeds -> both local models, trained anew, as GGUF files with their card."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from typer import Option

from router.commands.errors import BadUsage, CommandFailed

_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "gguf")
_INSTALL = (
    "install the extra [train], with torch built for the CPU: .venv/bin/uv pip install "
    "-r deploy/locks/train.txt torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu"
)


def train_models(
    *,
    seeds: Annotated[str, Option(help="One model of each size is trained for each of these.")] = "0,1,2",
    out: Annotated[Path, Option(help="The folder for weights and card.")] = Path("build/models"),
    steps: Annotated[int | None, Option(min=1, help="Steps of training; else the recipe's own.")] = None,
) -> None:
    """Train, measure and write the models; progress goes to standard error."""
    chosen = _seeds(seeds)
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise CommandFailed(f"{', '.join(missing)} cannot be imported", advice=_INSTALL)
    out.mkdir(parents=True, exist_ok=True)
    building = importlib.import_module("backends.engines.desk.building")  # holds torch
    building.build(out, seeds=chosen, steps=steps, say=_say)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise BadUsage(f"{text!r} is no list of seeds", where="--seeds", advice="write it like 0,1,2") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
