"""Logged requests -> the probability with which each would have gone to Large.

Outside of experiments that is the decision's own propensity. In an experiment, chance has chosen the arm, and the arm's
policy the tier: so the probability is the sum over the arms that would have sent this score to Large. What an arm would
have done is read from its usual decisions; where they do not follow one threshold, or one tier, it is not known.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.base import Tier
from router.ledger.replays import LoggedRequest

_BY_SCORE: Final = frozenset({"score", "certified"})
_SLIP: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Arm:
    """One arm of an experiment, by what it has done.

    Attributes:
        threshold: the score from which it chose Large; -1.0 for always, infinity for never.
    """

    propensity: float
    threshold: float


class Chances:
    """What chance had to do with each decision; told of all of them before it is asked."""

    def __init__(self) -> None:
        self._shown: defaultdict[str, defaultdict[str, set[_Arm | None]]] = defaultdict(lambda: defaultdict(set))

    def note(self, logged: LoggedRequest) -> None:
        """Learn what the arm of a request does."""
        if logged.experiment and logged.score is not None and not logged.inputs:
            self._shown[logged.experiment][logged.arm].add(_arm_of(logged))

    def of_large(self, logged: LoggedRequest) -> float | None:
        """Return the probability that it went to Large; None where that is not known."""
        if not logged.experiment:
            return logged.propensity if logged.tier is Tier.LARGE else 1.0 - logged.propensity
        arms, score = _whole(list(self._shown[logged.experiment].values())), logged.score
        if arms is None or score is None or logged.inputs or logged.reason not in (*_BY_SCORE, "fixed"):
            return None
        return sum(arm.propensity for arm in arms if score >= arm.threshold)


def _arm_of(logged: LoggedRequest) -> _Arm | None:
    """Return the arm as one of its decisions shows it; None where that follows no rule that is known."""
    if logged.reason == "fixed":
        return _Arm(logged.propensity, -1.0 if logged.tier is Tier.LARGE else float("inf"))
    if logged.reason in _BY_SCORE and logged.threshold is not None:
        return _Arm(logged.propensity, logged.threshold)
    return None


def _whole(arms: Sequence[set[_Arm | None]]) -> tuple[_Arm, ...] | None:
    """Return the arms where each follows one rule and all of them together are certain; None elsewhere."""
    known = [arm for shown in arms if len(shown) == 1 for arm in shown if arm is not None]
    if len(known) < len(arms) or abs(sum(arm.propensity for arm in known) - 1.0) > _SLIP:
        return None
    return tuple(known)
