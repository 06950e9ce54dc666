"""Labelled outcomes -> weights of the classifier and their card."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from typer import Option

from classifier.pairs import PairsError, read_pairs
from classifier.training import Report, fit, write
from router.commands.errors import CommandFailed


def train(
    *,
    data: Annotated[list[Path], Option(help="JSON lines with prompt or messages, strong_score, weak_score, group.")],
    out: Annotated[Path, Option(help="The weights' file; the card is written beside it.")],
    name: Annotated[str, Option(help="What the weights are for.")] = "own",
    version: Annotated[str, Option(help="Becomes part of each score's source.")] = "1",
    seed: Annotated[int, Option(help="Of the split and of the solver.")] = 0,
    margin: Annotated[float, Option(min=0, max=1, help="How much mean quality Tandem may give up.")] = 0.01,
    large_cost_ratio: Annotated[float, Option(min=1, help="The price of a Large reply in Mini replies.")] = 10.0,
    as_json: Annotated[bool, Option("--json", help="Print the measures as one JSON object.")] = False,
) -> None:
    """Fit a logistic model and print how good it is on rows that it had not seen."""
    if find_spec("sklearn") is None:
        raise CommandFailed(
            "scikit-learn is not installed",
            advice=".venv/bin/uv pip install scikit-learn -c deploy/locks/train.txt",
        )
    with _writing(out):  # said before the fitting, which takes its time
        out.parent.mkdir(parents=True, exist_ok=True)
    try:
        pairs = [pair for path in data for pair in read_pairs(path)]
        fitted = fit(pairs, seed=seed, version=version, name=name, margin=margin, large_cost_ratio=large_cost_ratio)
    except PairsError as error:
        raise CommandFailed(str(error)) from error
    with _writing(out):
        card = write(fitted, out)
    if as_json:
        print(json.dumps({"weights": str(out), "card": str(card), **asdict(fitted.report)}))
    else:
        print(f"{out}: {_sentences(fitted.report)}\n{card}: its card")


@contextmanager
def _writing(out: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise CommandFailed(
            f"cannot be written: {error.strerror}", where=str(out), advice="choose another --out"
        ) from error


def _sentences(report: Report) -> str:
    return (
        f"{report.rows} rows of {report.groups} groups; AUROC {report.auroc:.3f}, Brier {report.brier:.3f}, "
        f"ECE {report.ece:.3f}\nthreshold {report.threshold:.3f}: {report.large_share:.0%} to Large, "
        f"{report.saved:.0%} saved at a mean quality of {report.quality:.3f} (all Large: {report.strong_mean:.3f})"
    )
