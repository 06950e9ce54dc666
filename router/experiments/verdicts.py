"""Findings -> one sentence: keep running, ship an arm, or stop.

The order of questions is that of `judging.py`. What is too early to be said is said to be so, with how many more it
takes, and without a figure.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from router.experiments.definition import Experiment
from router.experiments.findings import ArmFindings, Compared, Findings
from router.statistics.comparing import LEAST_UNITS
from router.statistics.non_inferiority import LEAST_FAILURES
from router.statistics.sequences import one_sided_reach

Kind = Literal["keep", "ship", "stop"]

NOUNS: Final = {
    "resolution": "complex conversations that are closed",
    "agreement": "replies that were compared with Large's",
    "checks": "replies that something was checked of",
    "thumbs": "rated answers",
}
_BEGINNINGS: Final[dict[Kind, str]] = {"keep": "Keep running", "ship": "Ship", "stop": "Stop"}
_MOST: Final = 1e9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done.

    Attributes:
        arm: that is shipped; "" where none is.
        missing: units or observations of an arm that are needed yet, about; 0 where that is not what is missing.
    """

    kind: Kind
    why: str
    arm: str = ""
    missing: int = 0

    @property
    def sentence(self) -> str:
        """Return it in words."""
        if self.kind == "ship":
            return f"Ship {self.arm}: {self.why}."
        return f"{_BEGINNINGS[self.kind]}: {self.why}."


def verdict_of(findings: Findings) -> Verdict:
    """Return the verdict on an experiment."""
    general = _general(findings)
    if general is not None:
        return general
    of_arms = [_of_arm(findings, arm) for arm in findings.arms]
    shipped = [
        (float(arm.cost.found.value), verdict)
        for arm, verdict in zip(findings.arms, of_arms, strict=True)
        if verdict.kind == "ship"
    ]
    if shipped:
        return min(shipped, key=lambda each: each[0])[1]
    running = [verdict for verdict in of_arms if verdict.kind == "keep"]
    if running:
        return max(running, key=lambda verdict: verdict.missing)
    return of_arms[0] if len(of_arms) == 1 else Verdict("stop", "; ".join(verdict.why for verdict in of_arms))


def _general(findings: Findings) -> Verdict | None:
    """Return what is to be done whatever the arms have brought; None where that matters."""
    experiment, filling = findings.experiment, findings.filling
    if not findings.units:
        return Verdict(
            "keep", f"nobody is in an arm yet; {experiment.minimum} units are needed", "", experiment.minimum
        )
    if filling.is_mismatch:
        counts = ", ".join(f"{name} {count}" for name, count in filling.units.items())
        p = min(filling.p_always, filling.p_one_look)
        why = f"the arms are not filled as planned ({counts}; p = {p:.1e}), so no figure can be compared; find out why"
        return Verdict("stop", why)
    fewest = min(filling.units.values())
    missing = max(experiment.minimum - findings.units, math.ceil(LEAST_UNITS - fewest), 0)
    if missing:
        return Verdict("keep", f"too early: {missing} more units before anything is said", "", missing)
    return None


def _of_arm(findings: Findings, arm: ArmFindings) -> Verdict:
    experiment = findings.experiment
    for guard in arm.guards:
        if guard.is_broken:
            why = f"{guard.name} of {arm.name} are surely worse by more than the {guard.limit:g} that is allowed"
            return Verdict("stop", why)
    quality, noun = arm.quality, NOUNS[experiment.quality]
    is_over = findings.units >= experiment.maximum
    if bool(quality.is_refuted):
        why = f"{arm.name} surely loses more {experiment.quality} than the margin of {experiment.margin:g}"
        return Verdict("stop", why)
    if not bool(quality.is_shown):
        missing = still_needed(experiment, arm)
        if is_over:
            why = f"after {findings.units} units it is not shown that {arm.name} loses less than {experiment.margin:g}"
            return Verdict("stop", f"{why} of {experiment.quality}")
        early = "too early: " if bool(quality.is_early) else f"{arm.name} is not shown to keep its quality yet: "
        return Verdict("keep", f"{early}about {missing} more {noun} in each arm", "", missing)
    return _kept(findings, arm, is_over=is_over)


def _kept(findings: Findings, arm: ArmFindings, *, is_over: bool) -> Verdict:
    """Return the verdict on an arm whose quality is surely kept."""
    experiment, cost = findings.experiment, arm.cost
    open_guards = [guard.name for guard in arm.guards if not guard.is_kept]
    kept = f"{experiment.quality} of {arm.name} falls by less than {experiment.margin:g}"
    if bool(cost.found.low > 0):
        return Verdict("stop", f"{kept}, but it surely costs more")
    if bool(cost.found.high < 0) and not open_guards:
        return Verdict("ship", f"{kept}, and a request costs {_less(cost)}", arm.name)
    if is_over:
        what = "it is not shown to cost less" if not bool(cost.found.high < 0) else _unsure(open_guards)
        return Verdict("stop", f"{kept}, but after {findings.units} units {what}")
    if bool(cost.found.high < 0):
        return Verdict("keep", f"{kept} and costs less, but {_unsure(open_guards)}")
    return Verdict("keep", f"{kept}; whether it costs less is not shown yet")


def _less(cost: Compared) -> str:
    if cost.control <= 0:  # which nothing is a part of
        return "less"
    low, high = (f"{-float(bound) / cost.control:.1%}" for bound in (cost.found.high, cost.found.low))
    return f"{low} less" if low == high else f"{low} to {high} less"


def _unsure(guards: list[str]) -> str:
    return f"it is not sure yet that {' and '.join(guards)} stay within what is allowed"


def still_needed(experiment: Experiment, arm: ArmFindings) -> int:
    """Return how many more observations of quality each arm needs, about, if both are equally good."""
    have = min(float(arm.treated_quality.total or 0), float(arm.control_quality.total or 0))
    have = 0.0 if math.isnan(have) else have
    share = float(arm.control_quality.value)
    if math.isnan(share):
        return math.ceil(max(LEAST_UNITS, LEAST_FAILURES / experiment.margin))
    share = min(max(share, 0.01), 0.99)
    alpha = experiment.alpha / len(experiment.treated) / 2
    needed = LEAST_FAILURES / (1 - share + experiment.margin)
    for _ in range(_ROUNDS):
        reach = float(one_sided_reach(max(needed, 1.0), alpha=alpha))
        needed = min(_MOST, 2 * share * (1 - share) * (reach / experiment.margin) ** 2)
    return max(_STEP, math.ceil((needed - have) / _STEP) * _STEP)


_ROUNDS: Final = 20  # after which the number of units and the reach that it gives agree
_STEP: Final = 10
