"""A running gateway -> the sample workload under four policies, counted and timed.

Every figure is of this run: replies are compared with the true answers, times are taken by the caller,
costs are read from the ledger. The baselines bypass the cache; random sends Large the share that Tandem
did. Knows how to ask, not how to start anything.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx2
import msgspec

from backends.engines.desk.accuracy import Accuracy, paired_difference
from backends.engines.desk.asking import ANSWER_TOKENS
from backends.engines.desk.questions import Difficulty, Question
from backends.engines.desk.workload import workload
from router.commands.errors import CommandFailed
from router.ledger.place import LedgerPlace
from router.ledger.reading import costs_by_caller_id

CALLERS = 2  # requests at once
POLICIES = ("large", "mini", "tandem", "random")  # in the order in which they run; random needs Tandem's share
MARGIN = 0.05  # of complex requests solved, below all-Large
_NANO = 1e9


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it went: who answered, whether rightly, and when.

    Attributes:
        source: "large", "mini" or "cache".
        first_token: seconds from sending to the first text.
        cost: nano-USD.
    """

    question: Question
    source: str
    is_right: bool
    first_token: float
    cost: int


@dataclass(frozen=True, slots=True)
class Run:
    """All questions under one policy, in the order of the workload."""

    asked: tuple[Asked, ...]

    @property
    def cost(self) -> int:
        """Return nano-USD."""
        return sum(each.cost for each in self.asked)

    def share(self, source: str) -> float:
        """Return who answered, as a share of all."""
        return sum(each.source == source for each in self.asked) / len(self.asked)

    def accuracy(self, difficulty: Difficulty) -> Accuracy:
        """Return how many questions of this difficulty were answered rightly."""
        of_kind = [each.is_right for each in self.asked if each.question.difficulty is difficulty]
        return Accuracy(sum(of_kind), len(of_kind))

    def first_token(self, percent: int) -> float:
        """Return a percentile of the time to the first token, seconds, by nearest rank."""
        times = sorted(each.first_token for each in self.asked)
        return times[max(0, -(-len(times) * percent // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The four policies side by side."""

    runs: dict[str, Run]

    def saved(self, policy: str) -> float:
        """Return the saving against all-Large without a cache, as a share."""
        return 1 - self.runs[policy].cost / self.runs["large"].cost

    def complex_difference(self) -> tuple[float, float, float]:
        """Return (difference, low, high): complex questions solved, Tandem less all-Large, paired."""
        pairs = [
            (large.is_right, tandem.is_right)
            for large, tandem in zip(self.runs["large"].asked, self.runs["tandem"].asked, strict=True)
            if large.question.difficulty is Difficulty.COMPLEX
        ]
        return paired_difference(pairs)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        difference, low, high = self.complex_difference()
        return {
            "policies": {name: self._policy(name) for name in ("tandem", "large", "mini", "random")},
            "complex_against_large": {
                "difference": difference,
                "interval_95": [low, high],
                "margin": -MARGIN,
                "difference_within_margin": difference >= -MARGIN,
                "interval_within_margin": low >= -MARGIN,
            },
        }

    def _policy(self, name: str) -> dict[str, object]:
        run = self.runs[name]
        return {
            "requests": len(run.asked),
            "share": {source: run.share(source) for source in ("large", "mini", "cache")},
            "cost_usd": run.cost / _NANO,
            "saved": self.saved(name),
            **{str(difficulty): _counted(run.accuracy(difficulty)) for difficulty in Difficulty},
            "ttft_p50_s": run.first_token(50),
            "ttft_p95_s": run.first_token(95),
        }


def _counted(accuracy: Accuracy) -> dict[str, object]:
    return {"n": accuracy.asked, "right": accuracy.right, "interval_95": list(accuracy.interval())}


async def compare(url: str, *, ledger: LedgerPlace, requests: int, seed: int, key: str | None) -> Comparison:
    """Send the workload under each policy, one policy after the other.

    Raises:
        CommandFailed: a request was not answered, or has no cost in the ledger.
    """
    questions = workload(requests, seed=seed)
    run_id = secrets.token_hex(4)
    runs: dict[str, Run] = {}
    for policy in POLICIES:
        share = runs["tandem"].share("large") if policy == "random" else 0.0
        sender = _Sender(url, key, policy, run_id, random.Random(f"{seed}/{policy}"), share)
        heard = await sender.send_all(questions)
        costs = await _costs(ledger, [each.caller_id for each in heard])
        runs[policy] = Run(
            tuple(
                Asked(
                    question, each.source, question.is_answered_by(each.text), each.first_token, costs[each.caller_id]
                )
                for question, each in zip(questions, heard, strict=True)
            )
        )
    return Comparison(runs)


@dataclass(frozen=True, slots=True)
class _Heard:
    caller_id: str
    source: str
    text: str
    first_token: float


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends questions as one policy would have them sent."""

    url: str
    key: str | None
    policy: str
    run_id: str
    rng: random.Random
    large_share: float

    async def send_all(self, questions: Sequence[Question]) -> list[_Heard]:
        """Return what was heard, in the order of the questions; some are under way at once."""
        plans = [
            (f"up-{self.run_id}-{self.policy}-{i}", self._model(), question) for i, question in enumerate(questions)
        ]
        heard: dict[str, _Heard] = {}
        waiting = iter(plans)
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60, trust_env=False) as client:
            try:
                await asyncio.gather(*(self._keep_asking(client, waiting, heard) for _ in range(CALLERS)))
            except httpx2.HTTPError as error:
                raise CommandFailed(f"the gateway stopped answering: {error!r}", where=self.url) from error
        return [heard[caller_id] for caller_id, _, _ in plans]

    def _model(self) -> str:
        if self.policy == "random":
            return "large" if self.rng.random() < self.large_share else "mini"
        return "auto" if self.policy == "tandem" else self.policy

    async def _keep_asking(
        self, client: httpx2.AsyncClient, waiting: Iterator[tuple[str, str, Question]], heard: dict[str, _Heard]
    ) -> None:
        for caller_id, model, question in waiting:
            heard[caller_id] = await self._ask(client, caller_id, model, question)

    async def _ask(self, client: httpx2.AsyncClient, caller_id: str, model: str, question: Question) -> _Heard:
        headers = {"x-request-id": caller_id}
        if self.policy != "tandem":
            headers["x-tandem-no-cache"] = "1"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question.text}],
            "stream": True,
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
            "seed": int(self.run_id, 16) % 1_000_000,  # another run's kept replies are not this run's
        }
        begun, first_token, parts = time.perf_counter(), None, []
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
            if reply.status_code != httpx2.codes.OK:
                text = (await reply.aread()).decode(errors="replace")
                raise CommandFailed(f"a sample request was answered {reply.status_code}: {text[:300]}", where=self.url)
            async for line in reply.aiter_lines():
                piece = _piece(line)
                if piece and first_token is None:
                    first_token = time.perf_counter() - begun
                parts.append(piece)
        if first_token is None:
            first_token = time.perf_counter() - begun  # an empty answer is a wrong one, not a missing one
        source = "cache" if reply.headers["x-tandem-cache"] == "hit" else reply.headers["x-tandem-tier"]
        return _Heard(caller_id, source, "".join(parts), first_token)


def _piece(line: str) -> str:
    """Return the text that one line of a stream adds; "" for lines that add none."""
    if not line.startswith("data: {"):
        return ""
    choices = msgspec.json.decode(line[6:]).get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or ""


async def _costs(ledger: LedgerPlace, caller_ids: Sequence[str]) -> dict[str, int]:
    """Return nano-USD by caller's id; records are settled a moment after the answer."""
    wanted, found = set(caller_ids), dict[str, int]()
    for _ in range(40):
        found = {
            caller_id: each.cost
            for caller_id, each in (await asyncio.to_thread(costs_by_caller_id, ledger)).items()
            if caller_id in wanted and each.cost is not None
        }
        if len(found) == len(wanted):
            return found
        await asyncio.sleep(0.05)
    missing = len(wanted) - len(found)
    raise CommandFailed(f"{missing} sample requests have no cost in the ledger", where=str(ledger))
