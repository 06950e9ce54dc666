"""Scores of an encoder on labelled rows -> its threshold, its measures and its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.encoding.folder import Figures
from classifier.evaluation import evaluate
from classifier.measures import ECE_BINS, Outcomes, Reals
from classifier.pairs import Pair


@dataclass(frozen=True, slots=True)
class Report:
    """Measures on groups that neither training nor calibration had seen, of the scores as they will be served.

    Attributes:
        rows, groups, needing_large: counts over all parts.
        held_out: rows measured on.
        epochs: after how many the kept weights were reached.
        parameters: numbers in the model.
        auroc, brier, ece: against "Mini is not enough".
        auroc_interval: 95 %, over resamples of groups; None where they are too few.
        apgr: exact; None where Large is not better than Mini on average.
        threshold, margin: where the tuned rows' mix keeps its quality within `margin` of all-Large's, and no more rows
            can go to Mini.
        large_share, quality, strong_mean, weak_mean: of the held-out rows, at that threshold.
        opset: of ONNX.
        difference: largest difference in logits between graph and model, before quantising.
        int8_difference, int8_auroc_change: largest change in logits, and change in AUROC, by quantising; None where
            nothing was quantised.
    """

    rows: int
    groups: int
    needing_large: int
    held_out: int
    seed: int
    epochs: int
    parameters: int
    auroc: float
    auroc_interval: tuple[float, float] | None
    apgr: float | None
    brier: float
    ece: float
    threshold: float
    margin: float
    large_share: float
    quality: float
    strong_mean: float
    weak_mean: float
    opset: int
    difference: float
    int8_difference: float | None
    int8_auroc_change: float | None


def suggested_threshold(scores: Reals, pairs: Sequence[Pair], *, margin: float) -> float:
    """Return a limit for the scores at which the mix's mean quality is within `margin` of all-Large's.

    A row goes to Large when its score is at or above the limit. As many go to Mini as may; the limit lies half-way
    between the highest score that does and the lowest that does not.
    """
    order = np.argsort(scores, kind="stable")
    gain = np.array([pair.strong_score - pair.weak_score for pair in pairs])
    lost = np.concatenate(([0.0], np.cumsum(gain[order]))) / len(scores)  # by how many rows go to Mini
    limits = np.concatenate((scores[order], [1.0]))
    first = np.concatenate(([True], limits[1:] > limits[:-1]))  # equal scores go the same way
    to_mini = int(np.flatnonzero(first & (lost <= margin + 1e-12))[-1])
    return float(limits[max(to_mini - 1, 0) : to_mini + 1].mean())


def measures_of(
    scores: Reals, exact: Reals | None, pairs: Sequence[Pair], *, threshold: float, seed: int
) -> dict[str, Any]:
    """Return the report's figures of the held-out rows; `exact` are logits from before quantising, None if none was."""
    strong, weak = (np.array([getattr(pair, name) for pair in pairs]) for name in ("strong_score", "weak_score"))
    outcomes = Outcomes.of(strong, weak, [pair.group for pair in pairs])
    all_scores = {"served": scores} | ({} if exact is None else {"exact": exact})
    report = evaluate(all_scores, outcomes, seed=seed)
    served = report["served"]
    auroc, to_large = served["auroc_weak_fails"], scores >= threshold
    change = None if exact is None else (auroc.value or 0.0) - (report["exact"]["auroc_weak_fails"].value or 0.0)
    return {
        "auroc": auroc.value,
        "auroc_interval": None if auroc.low is None else (auroc.low, auroc.high),
        "apgr": served["apgr"].value,
        "brier": served["brier"].value,
        "ece": served["ece"].value,
        "int8_auroc_change": change,
        "threshold": threshold,
        "large_share": float(to_large.mean()),
        "quality": float(np.where(to_large, strong, weak).mean()),
        "strong_mean": float(strong.mean()),
        "weak_mean": float(weak.mean()),
    }


def card_of(figures: Figures, report: Report) -> str:
    """Return what people should know of an encoder, in Markdown."""
    interval = "" if report.auroc_interval is None else " ({:.4f} to {:.4f})".format(*report.auroc_interval)
    apgr = "not defined: Large is not better on average" if report.apgr is None else f"{report.apgr:.4f}"
    small = (
        "Weights are 32-bit floats."
        if report.int8_difference is None
        else f"Weights are 8-bit integers, which changed a logit by {report.int8_difference:.3f} at most and the AUROC "
        f"by {report.int8_auroc_change:+.4f}."
    )
    return f"""# {figures.name} {figures.version}

A transformer encoder of {report.parameters:,} parameters on sequences of up to {figures.longest} tokens, as an ONNX
graph (opset {report.opset}; rows and tokens are free); gives the calibrated probability that the Mini model is not
enough. {small} The graph's logits differ from the trained model's by {report.difference:.1g} at most, before that.

Fitted on {report.rows} pairs of {report.groups} groups, {report.needing_large} of them with a weak score below 0.5;
seed {report.seed}, {report.epochs} epochs. A fifth of the groups said when to stop and gave calibration and threshold;
the measures are of another fifth ({report.held_out} rows), which nothing was fitted on:

| measure | value |
|---|---|
| AUROC for "Mini is not enough" (95 % interval over groups) | {report.auroc:.4f}{interval} |
| APGR, exact | {apgr} |
| Brier score | {report.brier:.4f} |
| ECE, {ECE_BINS} bins of equal width | {report.ece:.4f} |
| mean quality of all-Large, all-Mini | {report.strong_mean:.4f}, {report.weak_mean:.4f} |

Suggested threshold: {report.threshold:.4f}. There {report.large_share:.1%} of the held-out rows go to Large, at a mean
quality of {report.quality:.4f}. It was chosen to lie within {report.margin:g} of all-Large's quality on the rows that
gave it, and is an estimate, not a promise about other traffic. Pieces of words of the data are in tokenizer.json.
"""
