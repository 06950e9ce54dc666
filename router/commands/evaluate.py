"""`tandem eval`: labelled files -> how good the routing is, beside what needs no classifier.

Scores are the classifier's, or those of a column. Rows that the weights were fitted on flatter them: hold some back.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Option

from classifier.base import Classifier, ClassifierError, WeightsError
from classifier.curves import Panel, draw
from classifier.evaluation import LARGE_COST_RATIO, REPORTED, RESAMPLES
from classifier.measures import Outcomes
from classifier.options import GENERAL, ClassifierOptions
from classifier.pairs import Pair, PairsError, check_disjoint, read_labelled
from classifier.slices import ROUTER, Judged, Rows, judge
from router.commands.errors import BadUsage, CommandFailed
from router.commands.writing import writing

WIDTH = 100  # columns, so that a file or a pipe gets whole rows
MOST_SLICES = 200
_BESIDE = ("random", "length", "constant", "oracle")
_OF_SLICES = ("cpt50", "cpt80", "auroc_needed", "brier", "ece")


def evaluate_files(  # noqa: PLR0913 - typer reads the options from here
    *,
    data: Annotated[list[Path], Option(help="JSON lines or parquet: prompt, strong_score, weak_score, group.")],
    by: Annotated[str | None, Option(help="A column; its values get figures of their own.")] = None,
    weights: Annotated[Path | None, Option(help="general (where none are named), desk, or a file.")] = None,
    fitted_on: Annotated[
        list[Path] | None, Option(help="Files that the weights were fitted on; a group on both sides is refused.")
    ] = None,
    score_column: Annotated[str | None, Option(help="Judge this column in place of the classifier.")] = None,
    resamples: Annotated[int, Option(min=0, max=100_000, help="Of the bootstrap, by group.")] = RESAMPLES,
    seed: Annotated[int, Option(min=0, help="Of the bootstrap and of the random score.")] = 0,
    large_cost_ratio: Annotated[
        float, Option(min=1, help="The price of a Large reply in Mini replies.")
    ] = LARGE_COST_RATIO,
    svg: Annotated[Path | None, Option(help="Draw the curves into this file.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print APGR, CPT, AUROC, Brier and ECE, each with its interval of 95 %."""
    if weights is not None and score_column is not None:
        raise BadUsage("two scores to judge", where="--score-column", advice="give it or --weights, not both")
    if math.isinf(large_cost_ratio):
        raise BadUsage(f"{large_cost_ratio} is no price", where="--large-cost-ratio", advice="give a finite number")
    with Console(stderr=True).status("reading and scoring") as status:
        rows = _read(data, fitted_on or (), by=by, weights=weights, score_column=score_column)
        slices = rows.slices() if by else []
        status.update("resampling")
        whole, *judged = [
            judge(some, resamples=resamples, seed=seed, large_cost_ratio=large_cost_ratio) for some in (rows, *slices)
        ]
    if svg is not None:
        _draw(svg, [one.panel() for one in (whole, *judged)])
    if as_json:
        said = {
            **whole.counts(),
            "weights": None if score_column else str(weights or GENERAL),
            "score_column": score_column,
            "resamples": resamples,
            "seed": seed,
            "large_cost_ratio": large_cost_ratio,
            "all": whole.as_json(),
            "by": {one.rows.name: {**one.counts(), **one.as_json()} for one in judged},
        }
        print(json.dumps(said))
    else:
        _print(whole, judged)


# --- reading and scoring ---------------------------------------------------------------------------


def _read(
    data: Sequence[Path], fitted_on: Sequence[Path], *, by: str | None, weights: Path | None, score_column: str | None
) -> Rows:
    """Return all rows of the files; a group of the same name in two of them is one group."""
    try:
        read = [(path, read_labelled(path, by=by or "source", score_column=score_column)) for path in data]
        for known in fitted_on:
            seen = read_labelled(known)
            for path, some in read:
                check_disjoint(seen, some, train_place=str(known), test_place=str(path))
    except PairsError as error:
        raise CommandFailed(str(error)) from error
    pairs = [pair for _, some in read for pair in some]
    files = ", ".join(map(str, data))
    _check_classes(pairs, files)
    if by is not None:
        _check_sources(pairs, by, files)
    if score_column is None:
        classifier = _classifier(weights)
        _warn_of_seen(classifier, pairs)
        scores = [score for path, some in read for score in _scores(classifier, path, some)]
    else:
        scores = [pair.score for pair in pairs if pair.score is not None]
    return Rows(
        "all",
        Outcomes.of(
            [pair.strong_score for pair in pairs], [pair.weak_score for pair in pairs], [pair.group for pair in pairs]
        ),
        np.array(scores, float),
        np.array([sum(len(turn.text) for turn in pair.prompt.turns) for pair in pairs], float),
        tuple(pair.source for pair in pairs),
    )


def _check_classes(pairs: Sequence[Pair], files: str) -> None:
    """Raise where no score could be better than another: neither does Mini fail on some rows only, nor Large gain."""
    failing = {pair.needs_large for pair in pairs}
    if len(failing) == 1 and len({pair.strong_score > pair.weak_score for pair in pairs}) == 1:
        words = "of 0.5 or more" if failing.pop() else "below 0.5"
        what = f"one class only, none of the {len(pairs)} rows has a weak_score {words}"
        raise CommandFailed(what, where=f"{files}:weak_score", advice="add such rows")


def _check_sources(pairs: Sequence[Pair], by: str, files: str) -> None:
    """Raise where no row or almost each has a slice of its own."""
    sources = {pair.source for pair in pairs}
    if sources == {""}:
        raise CommandFailed(f"no row has a value in the column {by}", where=files, advice="name another with --by")
    if len(sources) > MOST_SLICES:
        advice = f"name a column with at most {MOST_SLICES} values"
        raise CommandFailed(f"{by} has {len(sources)} values", where="--by", advice=advice)


def _warn_of_seen(classifier: Classifier, pairs: Sequence[Pair]) -> None:
    has_seen = getattr(classifier, "has_seen", None)  # not every classifier knows
    seen = 0 if has_seen is None else int(has_seen([pair.group for pair in pairs]).sum())
    if seen:
        words = (
            f"warning: the weights were fitted on the groups of {seen} of the {len(pairs)} rows, which flatters them"
        )
        print(words, file=sys.stderr)


def _classifier(weights: Path | None) -> Classifier:
    try:
        built = ClassifierOptions.of(weights or Path(GENERAL)).build()
    except WeightsError as error:
        raise CommandFailed(str(error), where="--weights") from error
    if built is None:
        raise AssertionError("only scoring that is off has no classifier")
    return built


def _scores(classifier: Classifier, path: Path, pairs: Sequence[Pair]) -> Iterator[float]:
    for pair in pairs:
        try:
            yield classifier.score(pair.prompt).value
        except ClassifierError as error:
            raise CommandFailed(f"cannot be scored: {error}", where=f"{path}:{pair.line}") from error


# --- showing ---------------------------------------------------------------------------------------


def _draw(svg: Path, panels: Sequence[Panel]) -> None:
    with writing(svg, option="--svg"):
        svg.write_text(draw(panels), encoding="utf-8")


def _print(whole: Judged, slices: Sequence[Judged]) -> None:
    console = Console(width=max(WIDTH, Console().width), highlight=False, markup=False)
    counts = whole.counts()
    console.print(f"{counts['rows']:,} rows of {counts['groups']:,} groups; mean quality:")
    for words, name in (("all Large", "all_large"), ("all Mini", "all_mini")):
        quality = whole.found[name]["quality"]
        console.print(f"  {words} {quality.words()} {quality.interval_words()}")
    table = _table("", ROUTER, "95 % interval", *_BESIDE)
    for figure in REPORTED:
        router, *beside = (whole.found[name][figure] for name in (ROUTER, *_BESIDE))
        table.add_row(figure, router.words(), router.interval_words(), *(one.words() for one in beside))
    console.print(table)
    if slices:
        table = _table("", "rows", "apgr", "95 % interval", *_OF_SLICES)
        for one in slices:
            found = one.found[ROUTER]
            beside = [found[figure] for figure in _OF_SLICES]
            counted = (f"{one.counts()['rows']:,}", found["apgr"].words(), found["apgr"].interval_words())
            table.add_row(escape(one.title), *counted, *(each.words() for each in beside))
        console.print(table)
    for line in (line for one in (whole, *slices) for line in one.reasons()):
        console.print(line)


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at else "left", no_wrap=True)
    return table
