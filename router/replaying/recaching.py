"""Logged requests -> each beside what it would have been with another cache: the same, a kept reply, or a model's.

Equal requests are those of one reply key, as the gateway made it: of one tenant, policy and arm. Where the log's cache
gave a reply, and another one would not have, a model answers as it answered the equal request that the reply was of.
What the ledger does not tell is counted, and refused where it is much. To see whether it can be trusted, the log's own
cache is replayed, too: whom that one answers must be whom it did answer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from router.guards.large_share import CAPPED
from router.ledger.ids import made_at, maker_of
from router.ledger.replays import LoggedRequest
from router.policies.paced import PACED
from router.replaying.answers import answer_of
from router.replaying.caching import Fate, SimulatedCache
from router.replaying.targets import Keeping, NotReplayable

ENDED_WELL: Final = ("answered", "kept")
"""Outcomes of requests whose callers got a reply."""

MOST_UNKNOWN: Final = 0.05
"""Share of the requests that another cache may be replayed without knowing."""

_UNUSUAL: Final = ("default", CAPPED, PACED)  # reasons of decisions whose replies are not kept


class Pair(NamedTuple):
    """One request, in the log and with the other cache.

    Attributes:
        was: as it was.
        now: as a model would have answered it, which may be as it was; None where no equal request tells.
        was_hit, is_hit: it got, or would have got, a kept reply.
        first_byte: seconds until then, with the other cache; None where that cannot be told.
    """

    was: LoggedRequest
    now: LoggedRequest | None
    was_hit: bool = False
    is_hit: bool = False
    first_byte: float | None = None


class Recacher:
    """One log, replayed with its own cache and with another.

    Args:
        was, asked: how replies were kept, and would have been.

    Attributes:
        keyed: requests that could get a kept reply.
        again: requests that the log's own cache answers when it is replayed.
        differing: of the keyed ones, those that it answers and did not, or the other way round.
        strangers: kept replies whose first request is not in the log; with another cache they stay.
        by_meaning: kept replies to requests that only meant the same.
    """

    def __init__(self, was: Keeping, asked: Keeping) -> None:
        self._was, self._asked = was, asked
        self._own, self._other = SimulatedCache(was.ttl), SimulatedCache(asked.ttl)
        self._first: dict[str, LoggedRequest] = {}
        self._unkeyed, self._keys = Counter[str](), Counter[str]()
        self.keyed = self.again = self.differing = self.strangers = self.by_meaning = 0

    def pairs(self, logged: Iterable[LoggedRequest], *, since: float) -> Iterator[Pair]:
        """Yield requests that came since a moment; those before it only fill the caches."""
        for each in logged:
            counts = each.started >= since
            pair = self._pair(each, counts=counts)
            if counts:
                yield pair

    def refuse(self) -> None:
        """Tell whether what was found can be trusted.

        Raises:
            NotReplayable: it cannot.
        """
        if not self._asked.ttl:
            return
        answered = self._keys.total() + self._unkeyed.total()
        unknown = sum(count for config, count in self._unkeyed.items() if not self._keys[config])
        if unknown > MOST_UNKNOWN * answered:
            raise NotReplayable(
                f"of {answered:,} requests {unknown:,} came while no reply key was recorded, so that it is not known"
                " which were equal; set ledger.reply_keys for a while, and begin there with --since (only requests with"
                " temperature 0 have one, unless cache.sampled is set)"
            )
        if self.strangers > MOST_UNKNOWN * answered:
            raise NotReplayable(
                f"of {answered:,} requests {self.strangers:,} got kept replies of which the ledger does not know since"
                " when; begin later, with --since"
            )
        if self.differing > MOST_UNKNOWN * self.keyed:
            raise NotReplayable(
                f"replayed, the configured cache treats {self.differing:,} of {self.keyed:,} requests otherwise than"
                " the log's did, so that another one cannot be told either; name the configuration of that time with"
                " --config, or choose a span with --since and --until"
            )

    def _pair(self, logged: LoggedRequest, *, counts: bool) -> Pair:
        kind = logged.cache or ("exact" if logged.source == "cache" else "")
        if logged.outcome in ENDED_WELL:
            (self._keys if logged.reply_key else self._unkeyed)[logged.config] += counts
        self.by_meaning += counts and kind == "semantic"
        if not logged.reply_key:
            return self._keyless(logged, kind, counts=counts)
        process, at = maker_of(logged.id), _came(logged)
        self.keyed += counts
        self._check(logged, kind, process, at, counts=counts)
        if self._asked.ttl and self._asked == self._was:  # what that one did is known, and needs no simulation
            pair = Pair(logged, logged, bool(kind), is_hit=bool(kind), first_byte=logged.first_byte)
        else:
            pair = self._with_other(logged, kind, process, at, counts=counts)
        if not kind and fate_of(logged) == "kept":
            self._first[logged.reply_key] = logged
        return pair

    def _keyless(self, logged: LoggedRequest, kind: str, *, counts: bool) -> Pair:
        if not kind:
            return Pair(logged, logged, first_byte=logged.first_byte)
        if not self._asked.ttl:
            return Pair(logged, None, was_hit=True)
        self.strangers += counts
        return Pair(logged, logged, was_hit=True, is_hit=True, first_byte=logged.first_byte)

    def _check(self, logged: LoggedRequest, kind: str, process: str, at: float, *, counts: bool) -> None:
        """Replay the log's own cache, which then goes on from what really was."""
        own, key = self._own, logged.reply_key
        met = own.meet(key, process, at)
        if kind == "semantic":
            own.lend(key, process, at=at, end=logged.started + (logged.overhead or 0.0))
            return
        self.again += counts and met.is_hit
        if kind:
            self.differing += counts and not met.is_hit and key in self._first
            return
        self.differing += counts and met.is_hit
        own.answer(key, process, met, end=_end(logged), fate=fate_of(logged))

    def _with_other(self, logged: LoggedRequest, kind: str, process: str, at: float, *, counts: bool) -> Pair:
        other, key = self._other, logged.reply_key
        met, was_hit = other.meet(key, process, at), bool(kind)
        if met.is_hit:
            waits = met.at - logged.started if met.waited else logged.overhead
            first = logged.first_byte if was_hit else waits
            return Pair(logged, logged, was_hit, is_hit=True, first_byte=first)
        if not was_hit:
            end = met.at + _service(logged) if met.waited else _end(logged)
            other.answer(key, process, met, end=end, fate=fate_of(logged))
            return Pair(logged, logged, first_byte=_later(logged.first_byte, 0.0 if self._was.ttl else met.at - at))
        if kind == "semantic" and self._asked.by_meaning:
            other.lend(key, process, at=at, end=logged.started + (logged.overhead or 0.0))
            return Pair(logged, logged, was_hit, is_hit=True, first_byte=logged.first_byte)
        first_answer = self._first.get(key)
        if first_answer is None and kind == "exact" and other.ttl:
            self.strangers += counts
            return Pair(logged, logged, was_hit, is_hit=True, first_byte=logged.first_byte)
        if first_answer is None:
            return Pair(logged, None, was_hit)
        other.answer(key, process, met, end=met.at + _service(first_answer), fate="kept")
        now = _answered_as(first_answer, logged)
        return Pair(logged, now, was_hit, first_byte=_later(now.first_byte, met.at - at))


def fate_of(logged: LoggedRequest) -> Fate:
    """Return what became of a model's reply, as far as the ledger tells; that it was too long it does not."""
    if logged.outcome != "answered":
        return "next"
    answer = answer_of(logged)
    if answer is None or answer.kind == "failover" or logged.reason in _UNUSUAL or logged.finish != "stop":
        return "alone"
    if logged.verify is None or logged.source != "mini":
        return "kept"
    return "kept" if logged.p_wrong is not None and logged.p_wrong < logged.verify else "alone"


def _answered_as(first: LoggedRequest, logged: LoggedRequest) -> LoggedRequest:
    """Return a request with the answer to an equal one, of which nothing was drawn by chance."""
    return first._replace(
        id=logged.id,
        unit=logged.unit,
        started=logged.started,
        hour=logged.hour,
        experiment="",
        arm="",
        propensity=1.0,
        sampled=0.0,
        strong_score=None,
        weak_score=None,
        rating=logged.rating,
        flaws=None,
        calls=tuple(call for call in first.calls if call.kind != "shadow"),
    )


def _came(logged: LoggedRequest) -> float:
    """Return when a request was looked up: its id is made when all of it has come, which may take long."""
    return max(logged.started, made_at(logged.id) or logged.started)


def _end(logged: LoggedRequest) -> float:
    return logged.started + (logged.duration or 0.0)


def _service(logged: LoggedRequest) -> float:
    """Return how long a model took, seconds."""
    return max((logged.duration or 0.0) - (logged.overhead or 0.0), 0.0)


def _later(first_byte: float | None, seconds: float) -> float | None:
    return None if first_byte is None else first_byte + seconds
