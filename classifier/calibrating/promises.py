"""Scored pairs -> calibration, certificates, their file.

The calibration is fitted on all rows; promises rest on one row of each group, drawn by the seed, so that rows are
independent. Both may use the same rows, since thresholds are certified on logits, whose order no calibration changes.
Knows nothing of where scores came from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from classifier.calibrating.calibrated import Level, Overlay
from classifier.calibrating.guarantee import Bound, Certificate, Outlook, certify, fewest_pairs, one_of_each, outlook
from classifier.calibrating.maps import Calibration, Reals
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
class Promises:
    """What came of it.

    Attributes:
        wanted: the promise that was asked for.
        levels: with the one that was asked for, strictest first; empty where there were too few rows to begin.
        outlook: what a useful promise would take; None where the rows do not tell, or the promise is made.
    """

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


def promise(
    scored: Scored,
    losses: Sequence[float],
    *,
    loss: float,
    confidence: float,
    kind: Kind,
    bound: Bound,
    by_tenant: bool,
    seed: int,
) -> Promises:
    """Return what can be promised.

    Args:
        losses: each a promise of its own, strictest first; `loss`, the wanted one, among them.
        by_tenant: calibrate each tenant of the pairs by its own labels, too.

    Raises:
        PairsError: one class only.
    """
    pairs = scored.pairs
    if len(pairs) < FEWEST:
        needed = max(FEWEST, fewest_pairs(loss=loss, confidence=confidence)) - len(pairs)
        return Promises(Certificate(loss, confidence, None, 0.0, 0.0, None, len(pairs), needed), (), None, None, None)
    groups = [pair.group for pair in pairs]
    rows = Labelled(
        logits=scored.logits,
        target=np.array([pair.needs_large for pair in pairs]),
        groups=groups,
        tenants=[pair.prompt.tenant for pair in pairs] if by_tenant else None,
    )
    calibration, report = calibrate(rows, kind=kind, seed=seed)
    chosen = one_of_each(groups, seed=seed)
    given_up = np.array([max(0.0, pairs[row].strong_score - pairs[row].weak_score) for row in chosen])
    logits = scored.logits[chosen]
    levels = {
        each: certify(logits, given_up, loss=each, confidence=confidence, seed=seed, bound=bound) for each in losses
    }
    is_made = levels[loss].threshold is not None
    ahead = None if is_made else outlook(logits, given_up, loss=loss, confidence=confidence)
    return Promises(levels[loss], tuple(levels.values()), calibration, report, ahead)


def overlay_of(scored: Scored, calibration: Calibration, promises: Promises, *, seed: int) -> Overlay:
    """Return what a calibration file is to hold."""
    return Overlay(
        source=scored.source,
        weights=scored.weights,
        calibration=calibration,
        levels=tuple(
            Level(each.loss, each.confidence, each.threshold, each.share_mini, each.risk, each.bound, each.pairs)
            for each in promises.levels
            if each.threshold is not None and each.bound is not None
        ),
        fitted_on={**({} if promises.report is None else asdict(promises.report)), "seed": seed},
    )
