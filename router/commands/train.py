"""Labelled outcomes -> weights of the classifier and their card."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from typer import Option

from classifier.base import WeightsError
from classifier.linear import Weights, load
from classifier.options import weights_path
from classifier.pairs import PairsError, read_pairs
from classifier.prior import PENALTIES, fit_prior, read_many
from classifier.training import CANDIDATES, Recipe, Report, Say, fit, write
from router.commands.errors import BadUsage, CommandFailed
from router.commands.ledger_pairs import ledger_pairs
from router.commands.writing import writing


def train(  # noqa: PLR0913 - the options of a command line
    *,
    data: Annotated[
        list[Path] | None,
        Option(help="JSON lines or parquet: prompt or messages, strong_score, weak_score, group."),
    ] = None,
    outcomes: Annotated[
        Path | None, Option(help="What many models scored on the same prompts: id, source, model, score. Fits a prior.")
    ] = None,
    peers: Annotated[
        Path | None, Option(help="Likewise; steadies what is learnt where what Large adds is mostly chance.")
    ] = None,
    from_ledger: Annotated[str | None, Option(help="A ledger; its labels of sampled requests are fitted on.")] = None,
    since: Annotated[str | None, Option(help="Of the ledger: ISO 8601, such as 2026-11-01T08:00Z.")] = None,
    out: Annotated[Path, Option(help="The weights' file; the card is written beside it.")],
    name: Annotated[str, Option(help="What the weights are for.")] = "own",
    version: Annotated[str, Option(help="Becomes part of each score's source.")] = "1",
    seed: Annotated[int, Option(help="Of the split and of the solver.")] = 0,
    target: Annotated[
        Literal["auto", "fail", "gain"], Option(help="What is learnt: that Mini fails, or what Large adds.")
    ] = "auto",
    prior: Annotated[str, Option(help='Weights to build upon; "general" are the shipped ones.')] = "general",
    margin: Annotated[float, Option(min=0, max=1, help="How much mean quality Tandem may give up.")] = 0.01,
    large_cost_ratio: Annotated[float, Option(min=1, help="The price of a Large reply in Mini replies.")] = 10.0,
    as_json: Annotated[bool, Option("--json", help="Print the measures as one JSON object.")] = False,
) -> None:
    """Fit linear models, take the best, and print how good it is on rows that it had not seen."""
    if not data and from_ledger is None:
        raise BadUsage("there is nothing to fit on", where="--data", advice="name files, or a ledger by --from-ledger")
    if find_spec("sklearn") is None:
        raise CommandFailed(
            "scikit-learn is not installed",
            advice=".venv/bin/uv pip install -r deploy/locks/fit.txt",
        )
    with writing(out):  # said before the fitting, which takes its time
        out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _progress(len(PENALTIES) if outcomes else len(CANDIDATES)) as say:
            if outcomes is not None:
                fitted = fit_prior(read_many(data or (), outcomes), seed=seed, version=version, name=name, say=say)
            else:
                many = read_many(data or (), peers) if peers else None
                pairs = list(many.pairs) if many else [pair for path in data or () for pair in read_pairs(path)]
                labelled = ledger_pairs(from_ledger, since)
                if many:
                    many = replace(many, pairs=pairs + labelled, ids=[*many.ids, *("" for _ in labelled)])
                fitted = fit(
                    pairs + labelled,
                    seed=seed,
                    version=version,
                    name=name,
                    margin=margin,
                    large_cost_ratio=large_cost_ratio,
                    recipe=Recipe(target, _weights(prior), many.peers() if many else None),
                    say=say,
                )
    except (PairsError, WeightsError) as error:
        raise CommandFailed(str(error)) from error
    with writing(out):
        card = write(fitted, out)
    if as_json:
        print(json.dumps({"weights": str(out), "card": str(card), **asdict(fitted.report)}))
    else:
        print(f"{out}: {_sentences(fitted.report)}\n{card}: its card")


def _weights(prior: str) -> Weights | None:
    if prior == "none":
        return None
    return load(weights_path(Path(prior))).weights


@contextmanager
def _progress(steps: int) -> Generator[Say, None, None]:
    """Yield what is told of each step; a bar on standard error, where a person looks at it."""
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=steps + 1)

        def say(line: str) -> None:
            bar.update(task, description=line, advance=1)

        yield say


def _sentences(report: Report) -> str:
    routed = "not defined" if report.apgr is None else f"{report.apgr:.3f}"
    found = "not defined" if report.auroc is None else f"{report.auroc:.3f}"
    return (
        f"{report.rows} rows of {report.groups} groups; {report.target}, penalty {report.penalty:g}\n"
        f"APGR {routed}, AUROC {found}, Brier {report.brier:.3f}, ECE {report.ece:.3f}\n"
        f"threshold {report.threshold:.3f}: {report.large_share:.0%} to Large, "
        f"{report.saved:.0%} saved at a mean quality of {report.quality:.3f} (all Large: {report.strong_mean:.3f})"
    )
