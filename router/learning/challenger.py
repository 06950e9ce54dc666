"""Lessons of sampled requests -> who serves.

Each graded request is decided by the champion and by its rival, and what both decisions would have lost is one
difference of their contest. Requests of the two tiers are sampled with probabilities of their own; differences are
weighed so that all traffic counts alike. A version that wins is exchanged in the running process; what a person
changes in the registry is followed. Nothing here is on the path of a request.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from classifier.base import ClassifierError
from router.base import Tier
from router.guards.large_share import CAPPED
from router.learning.champion import Champion, Contender
from router.learning.losses import loss
from router.learning.registry import Registry, RegistryError
from router.learning.shadows import Lesson
from router.learning.standing import Contest, Standing
from router.policies.sticky import AFFINITY

POLL = 2.0  # seconds between two looks at what others changed

_log = logging.getLogger(__name__)


class Contests:
    """Follows one registry for one running gateway.

    Args:
        champion: exchanged when the registry says so.
        contender_of: version -> what would serve; may read files, and raises what loading raises.
        shares: probability with which a scored request that was sent to a tier is sampled.
        large_cost: of a needless call to Large, in quality.
    """

    def __init__(
        self,
        registry: Registry,
        champion: Champion,
        *,
        contender_of: Callable[[str], Contender],
        shares: Mapping[Tier, float],
        large_cost: float,
    ) -> None:
        self._registry, self._champion, self._contender_of = registry, champion, contender_of
        self._least_share, self._large_cost = min(shares.values()), large_cost
        self._rival: Contender | None = None
        self._contest: Contest | None = None
        self._stamp = 0
        self._turn = asyncio.Lock()

    async def judge(self, lesson: Lesson) -> None:
        """Add a lesson to the contest that is under way, and do what follows from it."""
        if not self._least_share:  # where one tier is never sampled, a rival's mistakes there would not be seen
            return
        async with self._turn:
            contest, rival = self._contest, self._rival
            if contest is None or rival is None or lesson.received < contest.since:
                return
            difference = await asyncio.to_thread(self._difference, lesson, rival)
            if difference is None:
                return
            try:
                standing = await asyncio.to_thread(self._registry.observe, contest, difference, now=time.time())
            except RegistryError as error:
                _log.error("a lesson was lost: %s", error)
                return
            await self._adopt(standing)

    async def follow(self) -> None:
        """Adopt what others change in the registry, until cancelled."""
        while True:
            if await asyncio.to_thread(self._registry.stamp) != self._stamp:
                async with self._turn:
                    await self._read()
            await asyncio.sleep(POLL)

    async def _read(self) -> None:
        self._stamp = await asyncio.to_thread(
            self._registry.stamp
        )  # before the reading: what comes later is seen later
        try:
            await self._adopt(await asyncio.to_thread(self._registry.standing))
        except RegistryError as error:
            _log.error("the registry is not followed: %s", error)

    async def _adopt(self, standing: Standing) -> None:
        """Let the right version serve, and the right one be compared; what cannot be loaded changes nothing."""
        try:
            if standing.champion != self._champion.contender.version:
                contender = await self._loaded(standing.champion)
                self._champion.install(contender)
                _log.warning("%s decides from now on", contender.version)
            contest = standing.contest
            rival = None if contest is None else await self._loaded(contest.rival)
        except (ClassifierError, RegistryError, ValueError) as error:
            _log.error("the registry names a version that cannot be used, so nothing changes: %s", error)
            return
        self._contest, self._rival = contest, rival

    async def _loaded(self, version: str) -> Contender:
        for known in (self._champion.contender, self._rival):
            if known is not None and known.version == version:
                return known
        return await asyncio.to_thread(self._contender_of, version)

    def _difference(self, lesson: Lesson, rival: Contender) -> float | None:
        """Return the champion's loss less the rival's, weighed by how often such a request is sampled.

        None where it was not this champion who decided, but one before, the cap on a tenant's share, or a price.
        """
        made = lesson.decision
        if made.score is None or made.score.source != self._champion.source or made.reason in (CAPPED, AFFINITY):
            return None
        try:
            score = rival.classifier.score(lesson.request.prompt)
        except ClassifierError:
            return None  # such a request goes to the default tier, whoever serves
        other = rival.policy.decide(lesson.request, score)
        difference = self._loss(lesson, made.tier) - self._loss(lesson, other.tier)
        return difference * min(1.0, self._least_share / lesson.propensity)

    def _loss(self, lesson: Lesson, tier: Tier) -> float:
        return loss(
            tier,
            strong_score=lesson.grade.strong_score,
            weak_score=lesson.grade.weak_score,
            large_cost=self._large_cost,
        )
