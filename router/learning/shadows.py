"""An answered request -> now and then a call to the other tier, and what both replies teach.

Whether a request is sampled is drawn before it is sent anywhere, by chance alone and by nothing that it says. Its
shadow call begins when the caller has the whole reply, as a task of its own that nobody waits for. Where too many run
already it is dropped, which depends on how busy the gateway is and never on the request. What the call costs is an
attempt of the kind "shadow", beside the settled request.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from backends.base import Broken
from backends.sse import read_reply
from router.base import Decision, Label, Request, Tier
from router.dispatch import Begun
from router.learning.grading import GRADER, Grade, grade
from router.learning.second_calls import SecondCalls
from router.relay import Witness
from router.routes import Routes
from router.samples import Listener, sample_of

LONGEST_PROMPT = 1 << 18  # bytes as JSON; of a longer one no text is kept
MINUTE = 60.0  # seconds

_log = logging.getLogger(__name__)


Compare = Callable[[Request, Tier, bytes, str, str, float | None], Awaitable[None]]
"""Takes a request, who answered it, what the caller got, what Large's and Mini's replies say, and how far Mini's
agrees, 0.0 to 1.0, or None where the grader cannot tell."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which requests are sampled, and how much of them at once.

    Attributes:
        shares: probability for a request that was scored and sent to this tier, 0.0 to 1.0.
        seed: of the draws; None takes one that nobody knows.
        concurrency: calls at a time.
        max_per_minute: calls begun.
        keep_text: labels hold the prompt.
    """

    shares: Mapping[Tier, float]
    seed: int | None
    concurrency: int
    max_per_minute: int
    keep_text: bool


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one sampled request taught, for those who watch losses.

    Attributes:
        received: wall time, seconds since 1970.
        answered: the tier whose reply the caller got; not the decided one where Mini's was not good enough.
        propensity: with which the request was sampled.
    """

    request: Request
    decision: Decision
    received: float
    answered: Tier
    grade: Grade
    propensity: float


Learn = Callable[[Lesson], Awaitable[None]]


class Room:
    """Calls that may run, and that may begin within a minute."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._running = self._begun = 0
        self._minute = 0.0

    def take(self) -> str:
        """Take the place of one call; returns what there is too little of, "" where there was one."""
        now = time.monotonic()
        if now - self._minute >= MINUTE:
            self._minute, self._begun = now, 0
        if self._begun >= self._sampling.max_per_minute:
            return "over_rate"
        if self._running >= self._sampling.concurrency:
            return "busy"
        self._begun += 1
        self._running += 1
        return ""

    def give_back(self) -> None:
        """Give back the place of a call that has ended."""
        self._running -= 1


class Shadows:
    """Draws requests and sends them to the tier that did not answer.

    Args:
        learn: told of each graded request, one after another or several at once; None where nothing may be learnt of
            it, so that no label is kept either.
        compare: told of each pair of replies, likewise; None where nobody wants to know.
        room: shared with others; None has some of its own.
    """

    def __init__(
        self,
        sampling: Sampling,
        *,
        routes: Routes,
        calls: SecondCalls,
        learn: Learn | None,
        compare: Compare | None = None,
        room: Room | None = None,
    ) -> None:
        self._sampling, self._routes, self._calls = sampling, routes, calls
        self._ledger, self._metrics = calls.ledger, calls.metrics
        self._learn, self._compare = learn, compare
        self._shares = dict(sampling.shares)
        self._chance = random.Random(sampling.seed).random
        self._room = Room(sampling) if room is None else room
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def probability(self, decision: Decision) -> float:
        """Return with which a request of this decision is sampled."""
        return 0.0 if decision.score is None else self._shares[decision.tier]

    def draw(self, request: Request, decision: Decision) -> Witness | None:
        """Return what is to be told of the whole reply; None for a request that is not sampled."""
        share = self.probability(decision)
        if self._chance() >= share:
            return None
        return partial(self._witness, request, decision, share)

    def of_others(self, routes: Routes) -> "Shadows":
        """Return what samples requests that other models answer, by the same chances and within the same limits.

        How their replies compare is kept; what they teach is not, since labels are of the configured models.
        """
        return Shadows(
            self._sampling,
            routes=routes,
            calls=self._calls,
            learn=None,
            compare=self._compare,
            room=self._room,
        )

    async def aclose(self) -> None:
        """Cancel the calls that run; each is in the ledger, at an unknown cost."""
        self._closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _witness(self, request: Request, decision: Decision, share: float, begun: Begun, body: bytes | None) -> None:
        """Begin the shadow call, where there is room for it."""
        if self._closed or begun.is_makeshift:
            return
        if body is None or not (request.stream or read_reply(body).is_whole):
            self._metrics.shadow("too_long" if body is None else "not_whole")
            return
        short_of = self._room.take()
        if short_of:
            self._metrics.shadow(short_of)
            return
        task = asyncio.create_task(self._run(request, decision, share, begun, body))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.give_back()
        if not task.cancelled() and task.exception() is not None:
            self._metrics.shadow("failed")
            _log.error("a shadow call ended in a mistake of the program", exc_info=task.exception())

    async def _run(self, request: Request, decision: Decision, share: float, begun: Begun, body: bytes) -> None:
        answered, received = begun.route.tier, time.time() - (time.monotonic() - request.received)
        said = await self._calls.ask(self._routes.by_tier[answered.other], request)
        if said is None:
            return
        texts, found = await asyncio.to_thread(_graded, request, answered, body, said)
        self._metrics.shadow("graded" if found else "ungraded")
        if self._learn is not None:
            self._ledger.label(self._label(request, decision, answered, share, found))
            if found is not None:
                await self._learn(Lesson(request, decision, received, answered, found, share))
        if self._compare is not None and texts:
            agreement = None if found is None else found.weak_score
            await self._compare(request, answered, body, texts[Tier.LARGE], texts[Tier.MINI], agreement)

    def _label(self, request: Request, decision: Decision, answered: Tier, share: float, found: Grade | None) -> Label:
        score = decision.score
        assert score is not None  # noqa: S101 - nothing else is drawn
        text = msgspec.json.encode(request.prompt) if self._sampling.keep_text else None
        return Label(
            id=request.id,
            tenant=request.tenant,
            made=time.time(),
            prompt=text if text is not None and len(text) <= LONGEST_PROMPT else None,
            answered=answered,
            strong_score=None if found is None else found.strong_score,
            weak_score=None if found is None else found.weak_score,
            score=score.value,
            scorer=score.source,
            threshold=decision.threshold,
            propensity=share,
            grader="" if found is None else GRADER,
        )


def _graded(request: Request, answered: Tier, body: bytes, other: bytes) -> tuple[Mapping[Tier, str], Grade | None]:
    """Return both replies by tier, and their grade, of what the caller got, a body or events, and of the other's body.

    Where one of them has no text there is neither.
    """
    try:
        said = {answered: text_of(body, stream=request.stream), answered.other: sample_of(other).text}
    except Broken:  # whole, but of a shape that says nothing here
        return {}, None
    return said, grade(request.prompt, large=said[Tier.LARGE], mini=said[Tier.MINI])


def text_of(body: bytes, *, stream: bool) -> str:
    """Return what a whole reply says, a body or events.

    Raises:
        Broken: it is no completion.
    """
    if not stream:
        return sample_of(body).text
    listener = Listener()
    listener.hear(body)
    return listener.sample.text
