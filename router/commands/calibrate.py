"""`tandem calibrate`: one's own labels -> a calibration and certified thresholds.

The pairs must be new to the weights, drawn like the traffic that the promise is for, and few labels make small
promises. What is promised is the mean loss of quality against all-Large: what is lost where Mini does worse, or the net
loss, in which what it does better makes up for that. Each level is a promise of its own, so what is said of confidence
holds for one of them at a time.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from rich.console import Console
from typer import Exit, Option

from classifier.base import Classifier, ClassifierError, WeightsError
from classifier.calibrating.calibrated import Overlay, digest_of, dump
from classifier.calibrating.guarantee import Bound, Certificate, Count
from classifier.calibrating.maps import Reals, logit_of
from classifier.calibrating.promises import Aim, Promises, Scored, overlay_of, promise
from classifier.calibrating.recalibration import FEWEST, Kind
from classifier.options import GENERAL, ClassifierOptions, weights_path
from classifier.pairs import Pair, PairsError, read_labelled
from router.commands.errors import BadUsage, CommandFailed
from router.commands.writing import writing

LEVELS = "0.005,0.01,0.02,0.05,0.1"

_COUNTED: Mapping[Count, str] = {
    "lost": "lost where Mini does worse, whatever it does better",
    "net": "lost net, where Mini's gains make up for its losses",
}


def calibrate(  # noqa: PLR0913 - typer reads the options from here
    *,
    data: Annotated[list[Path], Option(help="JSON lines or parquet: prompt, strong_score, weak_score, group.")],
    loss: Annotated[float, Option(help="How much quality may be lost on average, such as 0.02.")] = 0.02,
    confidence: Annotated[float, Option(help="In how many of all draws of the pairs it shall be true.")] = 0.9,
    count: Annotated[
        Count, Option(help="lost: what Mini does worse, the stronger promise; net: less what it does better.")
    ] = "lost",
    levels: Annotated[str, Option(help="Further losses to certify, for x-tandem-quality.")] = LEVELS,
    by: Annotated[Literal["tenant"] | None, Option(help="Tell tenants apart, by the column of that name.")] = None,
    kind: Annotated[Kind, Option(help="Of the calibration; auto takes the simplest that is as good.")] = "auto",
    bound: Annotated[Bound, Option(help="The test of what is lost; net has one, exact.")] = "exact",
    weights: Annotated[Path | None, Option(help="general (where none are named), desk, or a file.")] = None,
    score_column: Annotated[str | None, Option(help="A column of probabilities, in place of the classifier.")] = None,
    out: Annotated[Path | None, Option(help="The calibration's file, for the policy certified.")] = None,
    seed: Annotated[int, Option(min=0, help="Of folds, draws and orders.")] = 0,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Calibrate on labels, certify thresholds; exit 1 where the loss cannot be promised."""
    if weights is not None and score_column is not None:
        raise BadUsage("two scores to calibrate", where="--score-column", advice="give it or --weights, not both")
    if count == "net" and bound != "exact":
        raise BadUsage(f"{bound} is no test of a net loss", where="--bound", advice="leave it out with --count net")
    losses = _losses(levels, loss=loss, confidence=confidence)
    with Console(stderr=True).status("reading and scoring") as status:
        scored = _scored(data, weights=weights, score_column=score_column)
        status.update("calibrating")
        try:
            aim = Aim(loss, losses, confidence, count, bound)
            found = promise(scored, aim, kind=kind, by_tenant=by is not None, seed=seed)
        except PairsError as error:
            raise CommandFailed(str(error), where=", ".join(map(str, data))) from error
    if out is not None and found.calibration is not None:
        _write(out, overlay_of(scored, found.calibration, found, seed=seed))
    missing = _missing(found)
    if as_json:
        print(json.dumps(_as_json(scored, found, out=out)))
        if missing:
            raise Exit(CommandFailed.exit_code)
        return
    print("\n".join(_lines(scored, found)))
    if out is not None and found.calibration is not None:
        chosen = f"classifier: {{weights: {weights or GENERAL}, calibration: {out}}}, " if score_column is None else ""
        kept = f"policy: {{use: certified, file: {out}, loss: {loss:g}, confidence: {confidence:g}}}"
        print(f"{out}: the calibration, for {chosen}{kept}")
    if missing:
        raise CommandFailed(missing, where="--loss", advice=_advice(found))


# --- reading and writing -----------------------------------------------------------------------------


def _losses(levels: str, *, loss: float, confidence: float) -> list[float]:
    """Return the losses to certify, each once, strictest first."""
    try:
        found = {loss, *(float(part) for part in levels.split(",") if part.strip())}
    except ValueError as error:
        raise BadUsage("a level is no number", where="--levels", advice=f"write them as {LEVELS}") from error
    for option, values in (("--loss or --levels", found), ("--confidence", {confidence})):
        if not all(0.0 < value < 1.0 for value in values):
            raise BadUsage("a share is out of range", where=option, advice="write numbers between 0 and 1")
    return sorted(found)


def _scored(data: list[Path], *, weights: Path | None, score_column: str | None) -> Scored:
    try:
        pairs = [pair for path in data for pair in _read(path, score_column=score_column)]
    except PairsError as error:
        raise CommandFailed(str(error)) from error
    if not pairs:
        raise CommandFailed("no rows", where=", ".join(map(str, data)), advice="name files with labelled rows")
    if score_column is not None:
        scores = [0.0 if pair.score is None else pair.score for pair in pairs]
        return Scored(pairs, np.array([logit_of(score) for score in scores]), f"column:{score_column}", "")
    path = weights_path(weights or Path(GENERAL))
    try:
        classifier = ClassifierOptions.of(path).build()
        assert classifier is not None  # noqa: S101 - of these kinds there always is one
        _refuse_seen(classifier, pairs)
        return Scored(pairs, _logits(classifier, pairs), classifier.score(pairs[0].prompt).source, digest_of(path))
    except WeightsError as error:
        raise CommandFailed(str(error)) from error


def _refuse_seen(classifier: Classifier, pairs: list[Pair]) -> None:
    """Refuse rows that the scores were fitted on: what they lose there says nothing about new requests."""
    has_seen = getattr(classifier, "has_seen", None)  # not every classifier knows
    seen = 0 if has_seen is None else int(has_seen([pair.group for pair in pairs]).sum())
    if seen:
        what = (
            f"the weights were fitted on the groups of {seen} of these {len(pairs)} rows; no promise can rest on them"
        )
        raise CommandFailed(what, where="--data", advice="hold rows back from ./tandem train, by group")


def _read(path: Path, *, score_column: str | None) -> list[Pair]:
    pairs = read_labelled(path, score_column=score_column)
    for pair in pairs:
        if pair.score is not None and not 0.0 <= pair.score <= 1.0:
            raise PairsError(f"{path}:{pair.line}:{score_column}: is {pair.score:g}; write a probability, 0 to 1")
    return pairs


def _logits(classifier: Classifier, pairs: list[Pair]) -> Reals:
    logits = np.empty(len(pairs))
    for row, pair in enumerate(pairs):
        try:
            logits[row] = logit_of(classifier.score(pair.prompt).value)
        except ClassifierError as error:
            raise CommandFailed(f"row {row + 1} has no score: {error}") from error
    return logits


def _write(out: Path, overlay: Overlay) -> None:
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(dump(overlay), encoding="utf-8")


# --- saying ----------------------------------------------------------------------------------------


def _missing(found: Promises) -> str:
    """Return why the promise cannot be made; "" where it is."""
    wanted = found.wanted
    if wanted.threshold is not None:
        return ""
    words = (
        f"a {'net loss' if found.count == 'net' else 'loss'} of {wanted.loss:g} cannot be promised with confidence "
        f"{wanted.confidence:g} on {wanted.pairs} pairs"
    )
    if wanted.needed is None:
        return f"{words}: Mini already loses so much on those that look easiest"
    return f"{words}: at least {wanted.needed} more are needed"


def _advice(found: Promises) -> str:
    ahead = found.outlook
    if found.wanted.needed is None:
        return "a looser --loss, or a classifier that tells them apart"
    if ahead is None:
        return "label more pairs, each of another question"
    mini = f"{ahead.share_mini:.0%} to Mini, where these pairs lose {ahead.risk:.2%}"
    return f"to send {mini}, takes about {ahead.pairs} pairs"


def _as_json(scored: Scored, found: Promises, *, out: Path | None) -> dict[str, Any]:
    wanted, report = found.wanted, found.report
    return {
        "certified": wanted.threshold is not None,
        "count": found.count,
        "loss": wanted.loss,
        "confidence": wanted.confidence,
        **_of_level(found, wanted),
        "reason": _missing(found) or None,
        "outlook": None if found.outlook is None else asdict(found.outlook),
        "rows": len(scored.pairs),
        "kind": None if report is None else report.kind,
        "ece_before": None if report is None else report.ece_before,
        "ece_after": None if report is None else report.ece_after,
        "ece_chance": None if report is None else report.ece_chance,
        "log_losses": None if report is None else report.log_losses,
        "source": scored.source,
        "out": None if out is None or found.calibration is None else str(out),
        "levels": [
            {"loss": each.loss, "confidence": each.confidence, "certified": each.threshold is not None}
            | _of_level(found, each)
            for each in found.levels
        ],
    }


def _of_level(found: Promises, level: Certificate) -> dict[str, float | int | None]:
    is_made = level.threshold is not None
    return {
        "threshold": found.threshold(level),
        "share_mini": level.share_mini if is_made else None,
        "risk": level.risk if is_made else None,
        "bound": level.bound,
        "activity": level.activity,
        "pairs": level.pairs,
        "needed": level.needed,
    }


def _lines(scored: Scored, found: Promises) -> list[str]:
    report = found.report
    if report is None:
        return [f"{len(scored.pairs)} rows, scored by {scored.source}; a calibration needs at least {FEWEST}"]
    chance = f"perfect scores would show {report.ece_chance:.3f} on so many rows"
    lines = [
        f"{report.rows:,} rows of {report.groups:,} groups, scored by {scored.source}",
        f"calibration: {report.kind}; ECE {report.ece_before:.3f} before, {report.ece_after:.3f} after ({chance})",
        f"promised is what is {_COUNTED[found.count]};",
        f"confidence {found.wanted.confidence:g}, one row of each group:",
    ]
    return [*lines, *(_line(found, level) for level in found.levels)]


def _line(found: Promises, level: Certificate) -> str:
    threshold = found.threshold(level)
    if threshold is None:
        needed = "Mini loses too much" if level.needed is None else f"{level.needed} more pairs at least"
        return f"  loss {level.loss:<6g} not certified: {needed}"
    lost = "lost net" if found.count == "net" else "lost"
    return (
        f"  loss {level.loss:<6g} Large from {threshold:.4f}; {level.share_mini:.1%} to Mini, "
        f"{level.risk:.2%} {lost}, at most {level.bound or 0.0:.2%} on new requests ({level.pairs} pairs)"
    )
