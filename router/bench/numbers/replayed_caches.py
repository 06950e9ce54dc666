"""Simulated traffic in which questions come again -> whether a replay of another cache says what that cache does.

The same questions meet stores of replies, real ones with a clock of ours, that keep for different times or not at all.
From the log of each the hits of each other are replayed, and none may differ. Then many such logs are drawn, of users
who ask what many ask and what only they ask: how often the interval of the share of hits covers what it is on average.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from cache.base import KeptReply
from cache.memory import MemoryStore
from cache.replies import Replies
from router.base import Tier
from router.bench.goals import Goal, at_least, at_most, stated
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.columns import Cached, Outcome
from router.replaying.hits import hits_of
from router.replaying.recaching import Recacher
from router.replaying.targets import Keeping
from router.statistics.estimates import Estimate

RUNS: Final = 200
QUICK: Final = 15
COVERAGE: Final = 0.93
TTLS: Final = (0.0, 60.0, 900.0)  # seconds
SERVED: Final = 0.4  # seconds that a model takes
PRICE: Final = 1_000  # nano-USD of an answer
_ROOM: Final = 64 << 20
_REPLY: Final = KeptReply(b"{}", "application/json", "mini", "small", 10, 0, 4)
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks.

    Attributes:
        spread: of how much users ask, as the sigma of a lognormal.
        common: share of what is asked that many ask.
    """

    name: str
    users: int
    spread: float = 0.5
    common: float = 0.25
    requests: int = 2_000


CROWDS: Final = (Crowd("300 users", 300), Crowd("60 users", 60), Crowd("300 users, mostly alike", 300, common=0.6))


class Asked(NamedTuple):
    """One question; `at` in seconds."""

    at: float
    user: int
    key: str


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return how many hits differ, and the coverage for each crowd."""
    rng, runs = random.Random(seed), QUICK if quick else RUNS
    differing = sum(asyncio.run(_differing(list(_questions(CROWDS[0], rng)))) for _ in range(max(1, runs // 40)))
    found = [at_most("replay: another cache, hits that differ", differing, 0)]
    for crowd in CROWDS:
        found += _coverage(crowd, rng, runs)
    return found


def _questions(crowd: Crowd, rng: random.Random) -> Iterator[Asked]:
    """Yield questions, none of which is asked while another one is answered."""
    shares = [rng.lognormvariate(0.0, crowd.spread) for _ in range(crowd.users)]
    habits, at = [rng.random() for _ in range(crowd.users)], 1_000.0
    for number, user in enumerate(rng.choices(range(crowd.users), shares, k=crowd.requests)):
        at += SERVED + rng.expovariate(0.5)
        drawn = rng.random()
        if drawn < crowd.common:
            key = f"common {min(int(rng.paretovariate(1.0)), 2_000)}"
        elif drawn < crowd.common + 0.5 * habits[user]:
            key = f"{user}'s {rng.randrange(6)}"
        else:
            key = f"new {number}"
        yield Asked(at, user, key)


async def _differing(asked: list[Asked]) -> int:
    """Return how many hits come out otherwise, from the log of each cache for each."""
    logs = {ttl: await _log(asked, ttl) for ttl in TTLS}
    count = 0
    for was, log in logs.items():
        for keeps, really in logs.items():
            pairs = Recacher(Keeping(was), Keeping(keeps)).pairs(log, since=0.0)
            count += sum(pair.is_hit != bool(one.cache) for pair, one in zip(pairs, really, strict=True))
    return count


async def _log(asked: list[Asked], ttl: float) -> list[LoggedRequest]:
    """Return the log of a gateway with a real store."""
    now = 0.0
    replies, log = Replies(MemoryStore(_ROOM, clock=lambda: now), b"secret", ttl=ttl), list[LoggedRequest]()
    for one in asked:
        now = one.at
        is_hit = ttl > 0.0 and await replies.get(one.key.encode()) is not None
        log.append(_logged(one, is_hit=is_hit))
        now += SERVED
        if not is_hit:
            replies.put(one.key.encode(), _REPLY)
    return log


def _logged(one: Asked, *, is_hit: bool) -> LoggedRequest:
    call = LoggedCall("primary", Tier.MINI, "", PRICE, None, "provider")
    return LoggedRequest(
        id="",
        tenant="acme",
        unit=f"{one.user:x}",
        started=one.at,
        hour=0,
        is_stream=False,
        tier=Tier.MINI,
        reason="kept" if is_hit else "score",
        score=None,
        scorer=None,
        threshold=None,
        policy="",
        propensity=1.0,
        verify=None,
        stay_cost=None,
        switch_cost=None,
        experiment="",
        arm="",
        sampled=0.0,
        inputs="",
        config="1",
        outcome="kept" if is_hit else "answered",
        source="cache" if is_hit else "mini",
        first_byte=None,
        spent=0 if is_hit else PRICE,
        baseline=None,
        duration=0.0 if is_hit else SERVED,
        overhead=0.0,
        finish="stop",
        p_wrong=None,
        cache="exact" if is_hit else "",
        reply_key=one.key,
        strong_score=None,
        weak_score=None,
        rating=None,
        flaws=None,
        calls=() if is_hit else (call,),
    )


def _coverage(crowd: Crowd, rng: random.Random, runs: int) -> Iterator[Goal]:
    found = [hits_of(_cached(list(_questions(crowd, rng)))) for _ in range(runs)]
    shares = [each.share for each in found if isinstance(each.share, Estimate)]
    name = f"replay: another cache, {crowd.name}"
    yield stated(f"{name}, refused", 1.0 - len(shares) / runs)
    if not shares:
        return
    slip = 2.0 * (0.05 * 0.95 / len(shares)) ** 0.5  # of as few runs as these
    truth = sum(each.hits / each.requests for each in found) / runs
    covers = sum(each.low <= truth <= each.high for each in shares) / len(shares)
    yield at_least(f"{name}, coverage of the share of hits", covers, COVERAGE - slip)
    yield stated(f"{name}, half-width", sum(each.half_width for each in shares) / len(shares))


def _cached(asked: list[Asked]) -> Cached:
    keys: dict[str, int] = {}
    log = [_logged(one, is_hit=False) for one in asked]
    pairs = Recacher(Keeping(), Keeping(TTLS[1])).pairs(log, since=0.0)
    outcomes = [
        Outcome(
            user=one.user,
            key=keys.setdefault(one.key, len(keys)),
            was_hit=False,
            is_hit=pair.is_hit,
            was=PRICE,
            spent=0 if pair.is_hit else PRICE,
            was_first=_UNKNOWN,
            first=_UNKNOWN,
        )
        for one, pair in zip(asked, pairs, strict=True)
    ]
    return Cached(outcomes, keyed=len(outcomes), again=0, differing=0, by_meaning=0, strangers=0)
