"""Verified hits, one after another -> whether hits can still be trusted, and from which similarity on.

Pure. Every disagreement tightens: the partition in which it happened takes no hit as low as it any more, and the common
threshold goes half way there. Whether all of it must be switched off is a sequential test of "at most so many of the
hits disagree": for each of a few higher shares it keeps the likelihood ratio of what was seen, begun anew whenever it
falls below 1, and stops when their mean reaches `EVIDENCE`. As long as the share is kept, that happens by mere chance
after `EVIDENCE` verified hits or more on average, however often it is looked at.

Source: Shin, Ramdas and Rinaldo 2022, "E-detectors: a nonparametric framework for sequential change detection",
section 3, for the sum and the mean of such ratios and the length of a run.
"""

import math
from typing import Final

EVIDENCE: Final = 1_000.0
_TIMES: Final = (2.0, 4.0, 8.0)  # of the tolerated share, at which bets are placed
_HIGHEST: Final = 0.9


class Trust:
    """What verification has taught.

    Args:
        threshold: common to all partitions at the start.
        tolerated: share of verified hits that may disagree.

    Attributes:
        threshold: as it is now; never falls.
        is_lost: hits must not be given any more; stays so.
        agreed, disagreed: hits.
    """

    def __init__(self, *, threshold: float, tolerated: float) -> None:
        self.threshold = threshold
        self.is_lost = False
        self.agreed = self.disagreed = 0
        self._bets = [_Bet(min(times * tolerated, _HIGHEST), tolerated) for times in _TIMES]

    @property
    def evidence(self) -> float:
        """Return how much speaks for more disagreement than is tolerated; 1.0 for nothing."""
        return sum(bet.worth for bet in self._bets) / len(self._bets)

    def note(self, similarity: float, *, agreed: bool) -> float:
        """Take note of one verified hit; return the similarity that is a hit in its partition from now on."""
        for bet in self._bets:
            bet.see(disagreed=not agreed)
        if agreed:
            self.agreed += 1
            return 0.0
        self.disagreed += 1
        self.is_lost = self.is_lost or self.evidence >= EVIDENCE
        self.threshold = max(self.threshold, min(1.0, (self.threshold + similarity) / 2))
        return min(1.0, math.nextafter(similarity, math.inf))


class _Bet:
    """The likelihood ratio of one higher share."""

    def __init__(self, share: float, tolerated: float) -> None:
        self.worth = 1.0
        self._up = share / tolerated
        self._down = (1.0 - share) / (1.0 - tolerated)

    def see(self, *, disagreed: bool) -> None:
        self.worth = max(self.worth, 1.0) * (self._up if disagreed else self._down)
