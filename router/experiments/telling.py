"""Findings and verdict -> a report for people, line by line, and one for programs.

No figure stands without its doubt: each has the bounds that hold at every look, or the word that it is too early.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from router.experiments.findings import ArmFindings, Compared, Findings
from router.experiments.standing import Standing
from router.experiments.verdicts import NOUNS, Verdict
from router.statistics.comparing import Difference

Report = Mapping[str, Any]

LATENCY: Final = (
    "Latency is not compared by unit: arms that share servers wait for each other. Switch all traffic between arms by "
    "the hour, and compare hours."
)
_EARLY: Final = "too early"
_NANO: Final = 1e9
_SMALL_UNPRICED: Final = 0.001


def report_of(standing: Standing, findings: Findings, verdict: Verdict) -> Report:
    """Return all that is known, for programs; bounds that are not known yet are None."""
    filling = asdict(findings.filling)
    return {
        "experiment": standing.id,
        "started": standing.started,
        "stopped": _stopped(standing),
        "ramp": str(standing.ramp),
        "weights": {name: str(each) for name, each in zip(findings.seen.arms, standing.weights, strict=True)},
        "epochs": len(standing.epochs),
        "units": findings.units,
        "units_in_several_arms": findings.seen.crossed,
        "requests": findings.requests,
        "unpriced_share": findings.unpriced,
        "rows_erased_before": findings.seen.erased or None,
        "sample_ratio": filling,
        "arms": {arm.name: _arm(findings, arm) for arm in findings.arms},
        "latency": LATENCY,
        "verdict": {**asdict(verdict), "sentence": verdict.sentence},
    }


def _stopped(standing: Standing) -> dict[str, object] | None:
    """Return when and why an experiment was stopped."""
    return None if standing.stopped is None else {"at": standing.stopped.at, "why": standing.stopped.why}


def lines_of(standing: Standing, findings: Findings, verdict: Verdict) -> Iterator[str]:
    """Yield the report for people; the last line is the verdict."""
    experiment, filling = findings.experiment, findings.filling
    state = "stopped: " + standing.stopped.why if standing.stopped is not None else f"runs, ramp {standing.ramp}"
    yield f"{standing.id}  since {_day(standing.started)}  {state}"
    for (name, count), weight in zip(filling.units.items(), standing.weights, strict=True):
        yield f"  {name:16} {count:>9} units, planned {weight}{'  (control)' if name == experiment.controls else ''}"
    is_as_planned = {True: "NOT AS PLANNED", False: "as planned", None: "weights move; nothing is planned"}
    yield (
        f"  filling          {is_as_planned[filling.is_mismatch]}; p at every look {filling.p_always:.3g}, "
        f"at one look {filling.p_one_look:.3g}"
    )
    yield from _doubts(findings)
    for arm in findings.arms:
        yield f"{arm.name} beside {experiment.controls}"
        yield from _arm_lines(findings, arm)
    yield LATENCY
    yield verdict.sentence


def _doubts(findings: Findings) -> Iterator[str]:
    """Yield what makes all figures less sure."""
    if findings.seen.crossed and findings.experiment.allocation == "fixed":
        yield f"  {findings.seen.crossed} units were seen in more than one arm; a configuration may have changed them"
    if findings.unpriced > _SMALL_UNPRICED:
        yield f"  cost is of priced requests alone: of {findings.unpriced:.1%} nobody knows it"
    if findings.seen.erased:
        yield f"  rows before {_day(findings.seen.erased)} are erased: quality is of what came later"
    if findings.seen.open:
        yield f"  {findings.seen.open} complex conversations are still open"


def _arm_lines(findings: Findings, arm: ArmFindings) -> Iterator[str]:
    experiment, quality = findings.experiment, arm.quality
    of = [_count(float(each.total)) for each in (arm.treated_quality, arm.control_quality)]
    noun = NOUNS[experiment.quality]
    if bool(quality.is_early):
        yield f"  {experiment.quality:16} {_EARLY}; {of[0]} and {of[1]} {noun}"
    else:
        shown = "kept" if bool(quality.is_shown) else "lost" if bool(quality.is_refuted) else "not shown yet"
        yield (
            f"  {experiment.quality:16} {float(quality.value):+.4f} [{float(quality.low):+.4f}, "
            f"{float(quality.high):+.4f}]; margin {experiment.margin:g}: {shown}; {of[0]} and {of[1]} {noun}"
        )
    cost = arm.cost
    if bool(cost.found.is_early):
        yield f"  {'cost a request':16} {_EARLY}"
    else:
        yield f"  {'cost a request':16} {_cost_words(cost)}; {_noise_words(arm)}"
    for guard in arm.guards:
        said = "broken" if guard.is_broken else "kept" if guard.is_kept else "not sure yet"
        known = all(map(math.isfinite, (guard.value, guard.low, guard.high)))
        figures = f"{guard.value:+.4f} [{guard.low:+.4f}, {guard.high:+.4f}]" if known else _EARLY
        yield f"  {guard.name:16} {figures}; at most {guard.limit:g}: {said}"
    for metric in arm.metrics:
        yield f"  {metric.name:16} {_metric_words(metric)}"


def _cost_words(cost: Compared) -> str:
    low, value, high = map(float, _bounds(cost.found))
    if not cost.control:  # which nothing is a part of
        return f"{value / _NANO:+.6f} [{low / _NANO:+.6f}, {high / _NANO:+.6f}] USD; the control's costs nothing"
    low, value, high = (each / cost.control for each in (low, value, high))
    return f"{value:+.1%} [{low:+.1%}, {high:+.1%}] of {cost.control / _NANO:.6f} USD"


def _noise_words(arm: ArmFindings) -> str:
    """Return what the interval of cost rests on."""
    return f"days before explain {arm.spared:.0%}" if arm.cost.found.error else "no unit of an arm differs from another"


def _metric_words(metric: Compared) -> str:
    if bool(metric.found.is_early):
        return _EARLY
    low, value, high = map(float, _bounds(metric.found))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]; p of all beside {metric.p:.3g}"


def _arm(findings: Findings, arm: ArmFindings) -> Report:
    quality = arm.quality
    is_early = bool(quality.is_early)
    return {
        "quality": {
            "metric": findings.experiment.quality,
            "margin": findings.experiment.margin,
            "is_early": is_early,
            "observations": [_count(float(each.total)) for each in (arm.treated_quality, arm.control_quality)],
            **_figures(None if is_early else tuple(map(float, (quality.value, quality.low, quality.high)))),
            "is_shown": bool(quality.is_shown),
            "is_refuted": bool(quality.is_refuted),
        },
        "cost": {**_compared(arm.cost), "unit": "nano-USD a request", "variance_spared": arm.spared},
        "guard_rails": {
            guard.name: {
                **_figures((guard.value, guard.low, guard.high)),
                "limit": guard.limit,
                "is_kept": guard.is_kept,
                "is_broken": guard.is_broken,
            }
            for guard in arm.guards
        },
        "metrics": {metric.name: _compared(metric) for metric in arm.metrics},
    }


def _compared(found: Compared) -> Report:
    is_early = bool(found.found.is_early)
    low, value, high = map(float, _bounds(found.found))
    return {
        "is_early": is_early,
        "control": None if is_early else _known(found.control),
        **_figures(None if is_early else (value, low, high)),
        "p": found.p,
    }


def _figures(found: tuple[float, ...] | None) -> Report:
    """Return a value with its bounds; nothing of it where one bound is not known."""
    if found is None or not all(map(math.isfinite, found)):
        return {"difference": None, "low": None, "high": None}
    return dict(zip(("difference", "low", "high"), found, strict=True))


def _bounds(found: Difference) -> tuple[Any, Any, Any]:
    return found.low, found.value, found.high


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _count(total: float) -> int:
    return 0 if math.isnan(total) else int(total)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
