"""What arms have brought so far -> the weights of the next epoch, written once by whoever comes first.

Every process with the experiment asks when an epoch is over; under the folder's lock the first one draws, and the
others find that it is done. What the weights rest on stands beside them.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from router.experiments.definition import Experiment
from router.experiments.folder import Folder, FolderError
from router.experiments.judging import QUALITIES
from router.experiments.overrides import Plan
from router.experiments.running import is_due
from router.experiments.standing import NotAllowed, Standing, reweighed
from router.ledger.experiments import Exposed, FateOf, exposed
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.statistics.ratios import ratio_of
from router.statistics.thompson import likely_best, with_floor

LEAST_TRIED: Final = 10.0  # units of an arm, before which it is tried for its own sake

_log = logging.getLogger(__name__)


def reweigh(
    folder: Folder, ledger: LedgerPlace, fates: Callable[[float, float], FateOf], plan: Plan, standing: Standing
) -> None:
    """Begin the next epoch, where it is time; never raises for a ledger or a folder that is away.

    Args:
        fates: gives what says what became of a conversation, from the score of complex ones and the time.
    """
    experiment, now = plan.experiment, time.time()
    try:
        seen = exposed(
            ledger,
            experiment.id,
            tuple(experiment.arms),
            unit=experiment.unit,
            started=standing.started,
            fate_of=None if experiment.complex_from is None else fates(experiment.complex_from, now),
        )
        folder.change(standing.id, lambda before: next_epoch(experiment, before, seen, at=now))
    except (FolderError, LedgerUnreadable, NotAllowed) as error:
        _log.warning("experiment %s keeps its weights: %s", standing.id, error)


def next_epoch(experiment: Experiment, standing: Standing, seen: Exposed, *, at: float) -> Standing:
    """Return the state with new weights; the same one where it is not time."""
    if not is_due(experiment, standing, now=at):
        return standing
    means, errors = rewards(experiment, seen)
    best = likely_best(means, errors, seed=int(standing.salt[:8], 16) + len(standing.epochs))
    told = ", ".join(
        f"{name} {mean:.6g} +- {error:.2g}" for name, mean, error in zip(seen.arms, means, errors, strict=True)
    )
    return reweighed(standing, with_floor(best, experiment.floor), now=at, why=f"{experiment.reward}: {told}")


def rewards(experiment: Experiment, seen: Exposed) -> tuple[list[float], list[float]]:
    """Return each arm's mean reward, of which more is better, and its standard error; infinite while it is untried."""
    over, under = ("cost", "requests") if experiment.reward == "cost" else QUALITIES[experiment.reward]
    sign = -1.0 if experiment.reward == "cost" else 1.0
    nothing = np.zeros(len(seen.arm))
    y, x = seen.sums.get(over, nothing), seen.sums.get(under, nothing)
    means, errors = [], []
    for number in range(len(seen.arms)):
        arm = ratio_of(y[seen.arm == number], x[seen.arm == number])
        is_tried = float(arm.units) >= LEAST_TRIED
        means.append(sign * float(arm.value) if is_tried else 0.0)
        errors.append(math.sqrt(float(arm.variance)) if is_tried else math.inf)
    return means, errors
