"""A sampled request with both tiers' replies -> an assessment with how they compare, by a judge where one is chosen.

Begins when the shadow call has ended, as part of its task, so that nobody waits for it. The judge is asked twice, once
in each order; what that costs is one attempt of the kind "judge" beside the request, noted before the calls, too. Where
there is no judge, or it says nothing, the comparison is that of the grader.
"""

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec.structs import asdict

from backends.base import BackendError, Broken, Call, DeadlineExceeded, Lost, Usage
from backends.sse import read_reply
from router.account import attempt_of, lost_beside, was_refused
from router.base import Assessment, Attempt, Ledger, Request, Tier
from router.ledger.usage_estimates import UsageEstimates
from router.metrics.counters import Metrics
from router.quality.assessing import assess
from router.quality.judging import (
    INCONSISTENT,
    VERDICT_TOKENS,
    VERSION,
    Verdict,
    question,
    verdict_in,
    verdict_of,
)
from router.quality.replies import said_by
from router.routes import Route

MINUTE: Final = 60.0  # seconds
LONGEST_REPLY: Final = 1 << 18  # bytes of a judge's reply
UNFINISHED: Final = "Interrupted"
"""Stands in the row of a judgement until it has ended, and for good where the process did not live so long."""

REMEMBERED: Final = 4_096
"""Requests whose plain assessment, should it come later, must not take the comparison's place."""

_WORST_FIRST: Final = ("contradictory", "none", "tokenizer", "provider")

RESULTS: Final = ("judged", "inconsistent", "silent", "failed", "over_rate", "not_drawn")


@dataclass(frozen=True, slots=True)
class Judge:
    """Who is asked, and how often.

    Attributes:
        route: its model on its backend, with its price; the tier says nothing.
        share: of the pairs, 0.0 to 1.0.
        max_per_minute: pairs.
        timeout: seconds for one call.
    """

    route: Route
    share: float
    max_per_minute: int
    timeout: float

    @property
    def name(self) -> str:
        """Return "model@version of the question"."""
        return f"{self.route.model}@{VERSION}"


class Comparisons:
    """Keeps how both replies to a sampled request compare.

    Attributes:
        results: pairs, by `RESULTS`.
    """

    def __init__(
        self,
        judge: Judge | None,
        *,
        grader: str,
        ledger: Ledger,
        metrics: Metrics,
        estimates: UsageEstimates | None = None,
        seed: int | None = None,
    ) -> None:
        self._judge, self._grader, self._ledger, self._metrics = judge, grader, ledger, metrics
        self._estimates = estimates
        self._chance = random.Random(seed).random
        self._minute, self._asked = 0.0, 0
        self._compared: dict[str, None] = {}
        self.results: dict[str, int] = dict.fromkeys(RESULTS, 0)

    def is_compared(self, request_id: str) -> bool:
        """Tell whether a request's replies were compared lately."""
        return request_id in self._compared

    async def compare(
        self, request: Request, answered: Tier, body: bytes, large: str, mini: str, agreement: float | None
    ) -> None:
        """Put an assessment with the comparison in the place of the request's assessment.

        Args:
            body: what the caller got.
            large, mini: what both replies say.
            agreement: as the grader has it, 0.0 to 1.0; None where it could not tell.
        """
        found = await asyncio.to_thread(assess, request, answered, body)
        if found is None:
            return
        judge = self._judge if self._may_ask() else None
        verdict = None if judge is None else await self._verdict(judge, request, large, mini)
        if judge is not None and verdict is not None:
            name = judge.name if verdict.is_consistent else f"{judge.name} {INCONSISTENT}"
            self._keep(replace(found, agreement=verdict.value, judge=name))
        elif agreement is not None:
            self._keep(replace(found, agreement=agreement, judge=self._grader))

    def _keep(self, found: Assessment) -> None:
        self._compared[found.request_id] = None
        if len(self._compared) > REMEMBERED:
            del self._compared[next(iter(self._compared))]
        self._ledger.assess(found)

    def _may_ask(self) -> bool:
        if self._judge is None:
            return False
        if self._chance() >= self._judge.share:
            self.results["not_drawn"] += 1
            return False
        now = time.monotonic()
        if now - self._minute >= MINUTE:
            self._minute, self._asked = now, 0
        if self._asked >= self._judge.max_per_minute:
            self.results["over_rate"] += 1
            return False
        self._asked += 1
        return True

    async def _verdict(self, judge: Judge, request: Request, large: str, mini: str) -> Verdict | None:
        """Ask in both orders; None where the judge could not be asked, or did not say."""
        asked = "\n\n".join(f"{turn.role}: {turn.text}" for turn in request.prompt.turns)
        attempts, lost = list[Attempt](), list[Attempt]()
        self._ledger.shadow(request.id, attempt_of("judge", judge.route, "", None, UNFINISHED))
        try:
            one = await self._ask(judge, request, question(asked, mini, large), attempts, lost)
            other = await self._ask(judge, request, question(asked, large, mini), attempts, lost)
        except (BackendError, asyncio.CancelledError) as error:
            failed = attempt_of("judge", judge.route, "", None, type(error).__name__)
            attempts.append(msgspec.structs.replace(failed, cost=0) if was_refused(error) else failed)
            self.results["failed"] += 1
            if isinstance(error, asyncio.CancelledError):
                raise
            return None
        finally:
            self._ledger.shadow(request.id, _together(attempts), tuple(lost))
            for attempt in (*attempts, *lost):
                self._metrics.spend_on_learning(attempt)
        verdict = verdict_of(one, other)
        result = "silent" if verdict is None else "judged" if verdict.is_consistent else "inconsistent"
        self.results[result] += 1
        return verdict

    async def _ask(
        self,
        judge: Judge,
        request: Request,
        messages: list[dict[str, str]],
        attempts: list[Attempt],
        lost: list[Attempt],
    ) -> str | None:
        """Return what the judge says; `attempts` and `lost` are told who said it, and who was asked in vain."""
        before, prompt = list[Lost](), len(msgspec.json.encode(messages))
        read = self._estimated(judge, prompt=prompt, reply=0)
        try:
            replica, body = await _reply(judge, f"{request.id}-judge-{len(attempts)}", messages, before)
        except BackendError as error:
            before += error.before
            raise
        else:
            told = read_reply(body)
            usage, source = told.usage, "contradictory" if told.contradicts else "provider"
            if usage is None and not told.contradicts and read is not None:
                usage, source = self._estimated(judge, prompt=prompt, reply=len(body)), "tokenizer"
            attempts.append(attempt_of("judge", judge.route, replica, usage, "", source))
        finally:
            lost += lost_beside(judge.route, tuple(before), read)
        said = said_by(body, stream=False)
        return None if said is None else verdict_in(said.text)

    def _estimated(self, judge: Judge, *, prompt: int, reply: int) -> Usage | None:
        """Return what so many bytes are in tokens; None where nobody says."""
        if self._estimates is None:
            return None
        return self._estimates.estimate(judge.route.model, prompt=prompt, reply=reply, stream=False).usage


async def _reply(judge: Judge, name: str, messages: list[dict[str, str]], before: list[Lost]) -> tuple[str, bytes]:
    """Return who replied, and what; `before` is told who was asked in vain for a reply that has begun.

    Raises:
        BackendError: nobody did, in time.
    """
    fields = {"model": judge.route.model, "messages": messages, "temperature": 0, "max_tokens": VERDICT_TOKENS}
    call = Call(
        path="/chat/completions",
        body=msgspec.json.encode(fields),
        stream=False,
        deadline=time.monotonic() + judge.timeout,
        request_id=name,
    )
    try:
        async with asyncio.timeout(judge.timeout):
            reply = await judge.route.backend.send(call)
            before += reply.before
            parts = bytearray()
            async with aclosing(reply.chunks):
                async for part in reply.chunks:
                    parts += part
                    if len(parts) > LONGEST_REPLY:
                        raise Broken(f"the judge's reply is longer than {LONGEST_REPLY} bytes")
    except TimeoutError:
        raise DeadlineExceeded(f"no judgement within {judge.timeout:g} s") from None
    return reply.replica, bytes(parts)


def _together(attempts: list[Attempt]) -> Attempt:
    """Return several calls as one attempt; its cost is unknown as soon as that of one of them is."""
    costs = [attempt.cost for attempt in attempts]
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    sources = {attempt.usage_source for attempt in attempts}
    return msgspec.structs.replace(
        attempts[-1],
        usage=_sum(usages) if len(usages) == len(attempts) else None,
        cost=None if None in costs else sum(cost or 0 for cost in costs),
        usage_source=next(source for source in _WORST_FIRST if source in sources),
    )


def _sum(usages: list[Usage]) -> Usage:
    """Return all tokens by bucket; what no call tells stays unknown."""
    told = [asdict(usage) for usage in usages]
    summed = {
        name: told[0][name] if isinstance(value, str) else _added([each[name] for each in told])
        for name, value in told[0].items()
    }
    return msgspec.convert(summed, Usage)


def _added(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
