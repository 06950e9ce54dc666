"""Weights -> their model card, for people."""

from collections.abc import Mapping
from textwrap import fill

from classifier.features import BUCKETS, NUMBERS, VERSION
from classifier.linear import Weights

_WIDTH = 120
_TARGETS = {
    "fail": 'Logistic regression on "Mini is not enough"',
    "gain": "Ridge regression on what Large adds to Mini's score",
    "difficulty": "Ridge regression on how often many small models fail, and how often the best would have mended that",
}


def card(weights: Weights) -> str:
    """Return the card as Markdown, from what stands in the weights themselves."""
    report = weights.fitted_on
    prior = f", built upon {report['prior']}" if report["prior"] else ""
    what = (
        f"{_TARGETS[report['target']]}{_steadied(report)}, over {BUCKETS} hashed words and {len(NUMBERS)} numbers of "
        f"the conversation (features version {VERSION}){prior}; calibrated ({report['calibration']}) to the "
        "probability that the Mini model is not enough."
    )
    basis = (
        f"Fitted on {report['rows']} pairs of {report['groups']} groups, {report['needing_large']} of them with a "
        f"weak score below 0.5; seed {report['seed']}, penalty {report['penalty']:g}. No text of the pairs is in the "
        f"weights.{_sources(report)}"
    )
    measured = "Out of fold by group (model and penalty were chosen on the same folds):"
    rows = [
        ("APGR, exact", report["apgr"]),
        ("CPT50, CPT80", (report["cpt50"], report["cpt80"])),
        ('AUROC for "Mini is not enough"', report["auroc"]),
        ('AUROC for "Large is better"', report["auroc_needed"]),
        ("Brier score", report["brier"]),
        ("ECE, 10 bins of equal width", report["ece"]),
        ("mean quality of all-Large, all-Mini", (report["strong_mean"], report["weak_mean"])),
    ]
    lines = ("| measure | value |", "|---|---|", *(f"| {name} | {_figures(found)} |" for name, found in rows))
    threshold = (
        f"Suggested threshold: {report['threshold']:.4f}, the highest one at which the mix's out-of-fold mean quality "
        f"({report['quality']:.4f}) lies within {report['margin']:g} of all-Large's. There {report['large_share']:.1%} "
        f"of the rows go to Large; that saves {report['saved']:.1%} of all-Large's cost when Large costs "
        f"{report['large_cost_ratio']:g} times Mini. It is an estimate on these rows, and no promise about others."
    )
    blocks = [
        f"# {weights.name} {weights.version}",
        *(fill(one, _WIDTH) for one in (what, basis, measured)),
        "\n".join(lines),
    ]
    return "\n\n".join((*blocks, fill(threshold, _WIDTH))) + "\n"


def _steadied(report: Mapping[str, float]) -> str:
    share = report["steadied"]
    return f", {share:.0%} of it as what other models scored leads one to expect" if share else ""


def _figures(found: float | tuple[float | None, ...] | None) -> str:
    each = found if isinstance(found, tuple) else (found,)
    return ", ".join("not defined" if one is None else f"{one:.4f}" for one in each)


def _sources(report: Mapping[str, object]) -> str:
    left_out = report.get("apgr_left_out")
    if not isinstance(left_out, Mapping):
        return ""
    figures = ", ".join(f"{figure:.3f} ({name})" for name, figure in left_out.items())
    return f" Sources: {report['sources']}. On each of them, fitted on the others only, APGR is {figures}."
