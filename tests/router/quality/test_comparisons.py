"""Tests router/quality/comparisons.py and router/quality/opening.py."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from backends.base import BackendError, Call, ConnectFailed, Reply
from router.base import Assessment, Attempt, Price, Tier
from router.config.learning import QualityOptions
from router.metrics.counters import Metrics
from router.quality.comparisons import UNFINISHED, Comparisons, Judge
from router.quality.opening import open_quality
from router.routes import Route
from tests.router.quality.asked import body_of, request_of

PRICE = Price("judge", "v1", 1_000_000, 100_000, 2_000_000)


@dataclass
class Bench:
    """A backend that judges as it is told, and a ledger that keeps what it is given."""

    verdicts: list[str | BackendError]
    asked: list[Call] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    found: list[Assessment] = field(default_factory=list)
    lost: list[Attempt] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        self.asked.append(call)
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, BackendError):
            raise verdict
        body = json.loads(body_of(f"I say so. Verdict: {verdict}"))
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return Reply(self._chunks(json.dumps(body).encode()), "application/json", "j:1")

    async def _chunks(self, body: bytes) -> AsyncGenerator[bytes, None]:
        yield body[:20]
        yield body[20:]

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        pass

    def shadow(self, request_id: str, attempt: Attempt, before: tuple[Attempt, ...] = ()) -> None:
        assert request_id == "req_1"
        self.attempts.append(attempt)
        self.lost += before

    def assess(self, assessment: Assessment) -> None:
        self.found.append(assessment)


def comparisons(bench: Bench, *, share: float = 1.0, most: int = 9) -> Comparisons:
    route = Route(Tier.LARGE, "claude-x", bench, lambda: PRICE)
    judge = Judge(route, share=share, max_per_minute=most, timeout=5.0)
    ledger: Any = bench  # the part of one that is used
    return Comparisons(judge, grader="agreement@1", ledger=ledger, metrics=Metrics(), seed=1)


async def compare(made: Comparisons, agreement: float | None = 1.0) -> None:
    await made.compare(request_of(), Tier.MINI, body_of("mini"), "large", "mini", agreement)


async def test_a_judge_is_asked_in_both_orders_and_costs_one_attempt() -> None:
    bench = Bench(["A", "B"])
    made = comparisons(bench)
    await compare(made)
    (found,) = bench.found
    assert (found.agreement, found.judge, found.tier, found.tokens) == (1.0, "claude-x@1", Tier.MINI, 1)
    first, second = (json.loads(call.body)["messages"][1]["content"] for call in bench.asked)
    assert first.index("mini") < first.index("large")
    assert second.index("large") < second.index("mini")
    assert len({call.request_id for call in bench.asked}) == 2
    begun, ended = bench.attempts
    assert (begun.kind, begun.error, ended.error) == ("judge", UNFINISHED, "")
    assert ended.usage is not None
    assert (ended.usage.fresh_input, ended.usage.output, ended.usage.cached_input) == (200, 20, None)
    assert ended.cost == 2 * (100 * 1_000 + 10 * 2_000)
    assert made.results["judged"] == 1
    assert made.is_compared("req_1")


async def test_a_verdict_that_changes_with_the_order_is_a_tie_and_told_as_such() -> None:
    bench = Bench(["A", "A"])
    made = comparisons(bench)
    await compare(made)
    assert (bench.found[0].agreement, bench.found[0].judge) == (0.5, "claude-x@1 inconsistent")
    assert made.results["inconsistent"] == 1


@pytest.mark.parametrize("verdicts", [["Z", "A"], [ConnectFailed("away")], ["A", ConnectFailed("away")]])
async def test_where_the_judge_is_silent_the_grader_has_its_say(verdicts: list[str | BackendError]) -> None:
    bench = Bench(verdicts)
    made = comparisons(bench)
    await compare(made, agreement=0.0)
    assert (bench.found[0].agreement, bench.found[0].judge) == (0.0, "agreement@1")
    assert made.results["silent"] + made.results["failed"] == 1
    assert bench.attempts[-1].cost is not None  # what could not connect cost nothing


async def test_a_pair_beyond_the_rate_or_not_drawn_is_not_judged() -> None:
    bench = Bench(["A", "B"])
    made = comparisons(bench, most=1)
    await compare(made)
    await compare(made, agreement=None)
    assert (len(bench.asked), made.results["over_rate"], len(bench.found)) == (2, 1, 1)
    undrawn = comparisons(bench, share=0.0)
    await compare(undrawn)
    assert undrawn.results["not_drawn"] == 1


async def test_a_cancelled_judgement_leaves_its_trace() -> None:
    bench = Bench(["A"])

    async def never(call: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    bench.send = never  # type: ignore[method-assign]  # one that never answers
    task = asyncio.create_task(compare(comparisons(bench)))
    async with asyncio.timeout(5):
        while not bench.attempts:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [attempt.error for attempt in bench.attempts] == [UNFINISHED, "CancelledError"]


async def test_what_the_options_choose_is_opened_and_counted() -> None:
    bench, metrics = Bench([]), Metrics()
    backend = {"use": "openai_http", "urls": ["http://127.0.0.1:9/v1"], "model": "claude-x", "price": "p"}
    options = QualityOptions.model_validate({"judge": {"backend": backend}})
    ledger: Any = bench  # the part of one that is used
    async with open_quality(
        options, grader="agreement@1", price_of=lambda _: PRICE, ledger=ledger, metrics=metrics
    ) as looking:
        assert looking.assessor is not None
        looking.assessor.tell(request_of(tools=[]), Tier.MINI, body_of("so"))
    names = {family.name for family in metrics.collect()}
    assert {"tandem_assessed_replies", "tandem_flagged_replies", "tandem_judged_pairs"} <= names
    assert [found.request_id for found in bench.found] == ["req_1"]
    off = QualityOptions(assess=False)
    async with open_quality(off, grader="g", price_of=lambda _: None, ledger=ledger, metrics=Metrics()) as looking:
        assert looking.assessor is None
