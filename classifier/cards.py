"""Weights -> their model card, for people."""

from collections.abc import Mapping

from classifier.features import BUCKETS, NUMBERS, VERSION
from classifier.linear import Weights

_TARGETS = {
    "fail": 'logistic regression on "Mini is not enough"',
    "gain": "ridge regression on what Large adds to Mini's score",
    "difficulty": "ridge regression on the failure rate of many small models",
}


def card(weights: Weights) -> str:
    """Return the card as Markdown, from what stands in the weights themselves."""
    report = weights.fitted_on
    prior = f", built upon {report['prior']}" if report["prior"] else ""
    rows = [
        ("APGR, exact", report["apgr"]),
        ("CPT50, CPT80", (report["cpt50"], report["cpt80"])),
        ('AUROC for "Mini is not enough"', report["auroc"]),
        ('AUROC for "Large is better"', report["auroc_needed"]),
        ("Brier score", report["brier"]),
        ("ECE, 10 bins of equal width", report["ece"]),
        ("mean quality of all-Large, all-Mini", (report["strong_mean"], report["weak_mean"])),
    ]
    table = "\n".join(f"| {name} | {_figures(found)} |" for name, found in rows)
    return f"""# {weights.name} {weights.version}

{_TARGETS[report["target"]].capitalize()}, over {BUCKETS} hashed words and {len(NUMBERS)} numbers of the conversation
(features version {VERSION}){prior}; calibrated ({report["calibration"]}) to the probability that the Mini model is not
enough.

Fitted on {report["rows"]} pairs of {report["groups"]} groups, {report["needing_large"]} of them with a weak score below
0.5; seed {report["seed"]}, penalty {report["penalty"]:g}. No text of the pairs is in the weights.
{_sources(report.get("sources"), report.get("apgr_left_out", {}))}
Out of fold by group (model and penalty were chosen on the same folds):

| measure | value |
|---|---|
{table}

Suggested threshold: {report["threshold"]:.4f}, the highest one at which the mix's out-of-fold mean quality
({report["quality"]:.4f}) lies within {report["margin"]:g} of all-Large's. There {report["large_share"]:.1%} of
the rows go to Large; that saves {report["saved"]:.1%} of all-Large's cost when Large costs
{report["large_cost_ratio"]:g} times Mini.
It is an estimate on these rows, not a promise about other traffic.
"""


def _figures(found: float | tuple[float | None, ...] | None) -> str:
    each = found if isinstance(found, tuple) else (found,)
    return ", ".join("not defined" if one is None else f"{one:.4f}" for one in each)


def _sources(named: str | None, left_out: Mapping[str, float]) -> str:
    return (
        f"Sources: {named}. On each of them, fitted on the others only, APGR is {_listed(left_out)}.\n" if named else ""
    )


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{figure:.3f} ({name})" for name, figure in figures.items())
