"""Scored pairs -> calibration, certificates, their file.

The calibration is fitted on all rows; promises rest on one row of each group, drawn by the seed, so that rows are
independent. Both may use the same rows, since thresholds are certified on logits, whose order no calibration changes.
Knows nothing of where scores came from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from classifier.calibrating.calibrated import Level, Overlay
from classifier.calibrating.guarantee import (
    Bound,
    Certificate,
    Count,
    Outlook,
    certify,
    fewest_pairs,
    one_of_each,
    outlook,
)
from classifier.calibrating.maps import Calibration, Reals
from classifier.calibrating.net import certify_net, fewest_pairs_net, outlook_net
from classifier.calibrating.recalibration import FEWEST, Kind, Labelled, Report, calibrate
from classifier.pairs import Pair


@dataclass(frozen=True, slots=True)
class Scored:
    """What the promises rest on.

    Attributes:
        pairs: of all files, in their order.
        logits: of their scores before calibration.
        source, weights: of the scores, as in `classifier.calibrating.calibrated.Overlay`.
    """

    pairs: list[Pair]
    logits: Reals
    source: str
    weights: str


@dataclass(frozen=True, slots=True)
class Aim:
    """What shall be promised.

    Attributes:
        loss: the wanted one.
        losses: each a promise of its own, strictest first; `loss` among them.
        confidence: share of all draws of the pairs in which each shall be true.
        bound: the test of what is lost; the net loss has one of its own.
    """

    loss: float
    losses: Sequence[float]
    confidence: float
    count: Count = "lost"
    bound: Bound = "exact"


@dataclass(frozen=True, slots=True)
class Promises:
    """What came of it.

    Attributes:
        count: what is promised.
        wanted: the promise that was asked for.
        levels: with the one that was asked for, strictest first; empty where there were too few rows to begin.
        outlook: what a useful promise would take; None where the rows do not tell, or the promise is made.
    """

    count: Count
    wanted: Certificate
    levels: tuple[Certificate, ...]
    calibration: Calibration | None
    report: Report | None
    outlook: Outlook | None

    def threshold(self, certificate: Certificate) -> float | None:
        """Return a threshold as a calibrated score."""
        if certificate.threshold is None or self.calibration is None:
            return None
        return self.calibration.probability(certificate.threshold)


def promise(scored: Scored, aim: Aim, *, kind: Kind, by_tenant: bool, seed: int) -> Promises:
    """Return what can be promised.

    Args:
        by_tenant: calibrate each tenant of the pairs by its own labels, too.

    Raises:
        PairsError: one class only.
    """
    pairs, loss, confidence, count = scored.pairs, aim.loss, aim.confidence, aim.count
    if len(pairs) < FEWEST:
        fewest = (fewest_pairs if count == "lost" else fewest_pairs_net)(loss=loss, confidence=confidence)
        needed = max(FEWEST, fewest) - len(pairs)
        refused = Certificate(loss, confidence, None, 0.0, 0.0, None, None, len(pairs), needed)
        return Promises(count, refused, (), None, None, None)
    groups = [pair.group for pair in pairs]
    rows = Labelled(
        logits=scored.logits,
        target=np.array([pair.needs_large for pair in pairs]),
        groups=groups,
        tenants=[pair.prompt.tenant for pair in pairs] if by_tenant else None,
    )
    calibration, report = calibrate(rows, kind=kind, seed=seed)
    chosen = one_of_each(groups, seed=seed)
    signed = np.array([pairs[row].strong_score - pairs[row].weak_score for row in chosen])
    given_up, logits = np.maximum(signed, 0.0), scored.logits[chosen]
    levels = {
        each: certify(logits, given_up, loss=each, confidence=confidence, seed=seed, bound=aim.bound)
        if count == "lost"
        else certify_net(logits, signed, loss=each, confidence=confidence, seed=seed)
        for each in aim.losses
    }
    ahead = None
    if levels[loss].threshold is None:
        plan, planned_for = (outlook, given_up) if count == "lost" else (outlook_net, signed)
        ahead = plan(logits, planned_for, loss=loss, confidence=confidence)
    return Promises(count, levels[loss], tuple(levels.values()), calibration, report, ahead)


def overlay_of(scored: Scored, calibration: Calibration, promises: Promises, *, seed: int) -> Overlay:
    """Return what a calibration file is to hold."""
    return Overlay(
        source=scored.source,
        weights=scored.weights,
        calibration=calibration,
        count=promises.count,
        levels=tuple(level for each in promises.levels if (level := _level(each)) is not None),
        fitted_on={**({} if promises.report is None else asdict(promises.report)), "seed": seed},
    )


def _level(made: Certificate) -> Level | None:
    if made.threshold is None or made.bound is None or made.activity is None:
        return None
    return Level(
        loss=made.loss,
        confidence=made.confidence,
        logit=made.threshold,
        share_mini=made.share_mini,
        risk=made.risk,
        bound=made.bound,
        activity=made.activity,
        pairs=made.pairs,
    )
