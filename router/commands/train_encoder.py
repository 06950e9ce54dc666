"""Labelled outcomes -> an encoder's folder: graph, tokenizer, figures and card."""

import importlib
import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from classifier.base import WeightsError
from classifier.encoding.recipe import NotTrained, Recipe
from classifier.encoding.session import Device
from classifier.pairs import PairsError, read_pairs
from router.commands.errors import BadUsage, CommandFailed
from router.commands.writing import writing

_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "onnx", "onnxruntime")
_INSTALL = (
    "install the extras [train] and [encoder], with torch built for the CPU: .venv/bin/uv pip install onnxruntime "
    "-r deploy/locks/train.txt torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu; "
    "with a GPU, torch==2.13.0 and no index"
)


def train_encoder(  # noqa: PLR0913 - each is an option of the command line
    *,
    data: Annotated[list[Path], Option(help="Rows with prompt or messages, strong_score, weak_score, group.")],
    out: Annotated[Path, Option(help="The folder to write.")],
    base: Annotated[
        Path | None, Option(help="A local BERT-like folder to fine-tune; none trains from scratch.")
    ] = None,
    layers: Annotated[int, Option(min=1, help="From scratch: layers.")] = 2,
    width: Annotated[int, Option(min=1, help="From scratch: width of a token's state.")] = 128,
    heads: Annotated[int, Option(min=1, help="From scratch: heads of attention; they divide the width.")] = 2,
    vocabulary: Annotated[int, Option(min=300, help="From scratch: tokens at most.")] = 8000,
    longest: Annotated[int, Option(min=16, max=4096, help="Tokens of the longest sequence; a score's cost.")] = 128,
    epochs: Annotated[int, Option(min=1, help="At most; it stops when three in a row bring nothing.")] = 10,
    seed: Annotated[int, Option(help="Of split, weights and order.")] = 0,
    device: Annotated[Device, Option(help="To train on: auto, cuda or cpu.")] = "auto",
    int8: Annotated[bool, Option("--int8", help="Keep the weights as 8-bit integers.")] = False,
    name: Annotated[str, Option(help="What the encoder is for.")] = "own",
    version: Annotated[str, Option(help="Becomes part of each score's source.")] = "1",
    margin: Annotated[float, Option(min=0, max=1, help="How much mean quality Tandem may give up.")] = 0.01,
    as_json: Annotated[bool, Option("--json", help="Print the measures as one JSON object.")] = False,
) -> None:
    """Train a small transformer and print how good it is on groups that it had not seen."""
    if base is None and width % heads:
        raise BadUsage(f"{heads} heads do not divide a width of {width}", where="--heads", advice="choose a divisor")
    if missing := [each for each in _NEEDED if find_spec(each) is None]:
        raise CommandFailed(f"{', '.join(missing)} cannot be imported", advice=_INSTALL)
    recipe = Recipe(base, layers, width, heads, vocabulary, longest, epochs, device=device, int8=int8)
    with writing(out):  # said before the training, which takes its time
        out.mkdir(parents=True, exist_ok=True)
    try:
        pairs = [pair for path in data for pair in read_pairs(path)]
        training = importlib.import_module("classifier.encoding.training")  # holds torch
        trained = training.train_encoder(pairs, recipe, name=name, version=version, seed=seed, margin=margin, say=_say)
    except (PairsError, NotTrained, WeightsError) as error:
        raise CommandFailed(str(error)) from error
    with writing(out):
        training.write(trained, out)
    if as_json:
        print(json.dumps({"folder": str(out), **asdict(trained.report)}))
    else:
        print(f"{out}: {_sentences(asdict(trained.report))}")


def _sentences(report: dict[str, Any]) -> str:
    return (
        "{rows} rows of {groups} groups, {held_out} held out; AUROC {auroc:.3f}, Brier {brier:.3f}, ECE {ece:.3f}\n"
        "threshold {threshold:.3f}: {large_share:.0%} to Large at a mean quality of {quality:.3f} "
        "(all Large: {strong_mean:.3f})"
    ).format(**report)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
