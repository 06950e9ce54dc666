"""Servers and what was chosen -> one backend: the one place where its layers are put together.

From the outside in, and why each stands where it stands:

    Normalising     around everything: a history is rewritten once, however often it is sent
    HealthChecked   outermost only because it asks replicas in its own time and lets calls pass; where there are several
    Retried         outside of the queue: what is tried again takes its turn there anew, with room for another replica
    Limited         before a replica is chosen: who waits goes to whichever has room first; a hedge needs room twice
    Hedged          beside the choice, since it asks two of the replicas, and must know which
    Replicas        chooses; knows who is in service
    Watched         around all that one replica does, so that a stream which breaks in its first word is its failure
    Committed       next to the server: holds back a beginning that may not be worth an answer
    OpenAIHttp      one server

A layer that would do nothing is left out: one server without limits has `Replicas` and `Watched`, for the breaker.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from random import Random
from time import monotonic
from typing import Protocol

from backends.base import Backend
from backends.replicas.base import Counting, Figure, Group, Rule
from backends.replicas.choice import Replicas
from backends.replicas.commit import Committed
from backends.replicas.health import HealthChecked
from backends.replicas.hedging import Hedged
from backends.replicas.limits import Limited
from backends.replicas.options import BalanceOptions, LimitsOptions, ReplicaOptions
from backends.replicas.outliers import Outliers
from backends.replicas.peak_ewma import PeakEwma
from backends.replicas.retries import Retried
from backends.replicas.rules import LeastConnections, PowerOfTwo, PrefixAffinity, RoundRobin
from backends.replicas.standing import Standing
from backends.replicas.watched import Watched


class Server(Backend, Protocol):
    """A backend that is one server.

    Attributes:
        name: the one that its replies give.
    """

    @property
    def name(self) -> str:
        """Return it."""
        ...


class Stack:
    """Servers of one model as one backend.

    Args:
        outermost: of the layers; closed with this.
        replicas: the layer that chooses.
        counting: the layers that count something.
    """

    def __init__(self, outermost: Backend, *, replicas: Replicas, counting: Sequence[Counting]) -> None:
        self._outermost, self._counting = outermost, counting
        self.drain, self.restore = replicas.drain, replicas.restore
        self.send = outermost.send  # itself: calls pay for no layer of this one

    def __repr__(self) -> str:
        return f"<Stack {self._outermost!r}>"

    async def is_ready(self) -> bool:
        """Tell whether one of the servers is ready; never raises."""
        return await self._outermost.is_ready()

    async def aclose(self) -> None:
        """Close all layers and servers."""
        await self._outermost.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what all layers count; of layers of one kind, the sum."""
        by_name: dict[str, Figure] = {}
        for figure in (figure for layer in self._counting for figure in layer.figures()):
            known = by_name.get(figure.name)
            by_name[figure.name] = figure if known is None else _sum(known, figure)
        yield from by_name.values()


def stack_of(
    servers: Sequence[Server],
    chosen: ReplicaOptions,
    *,
    chance: Random | None = None,
    around: Callable[[Backend], Backend] = lambda backend: backend,
) -> Stack:
    """Return the servers as one backend.

    Args:
        servers: at least one, with names of their own.
        chance: for choices and for jitter.
        around: puts what reads bodies around all layers, so that a body is read once, however often it is sent.
    """
    chance = chance or Random()
    has_several = len(servers) > 1
    counting: list[Counting] = []
    standings = [_standing(server.name, chosen) for server in servers]
    outliers = Outliers(standings, after=chosen.ejection.after, out_for=chosen.ejection.seconds)
    watched = []
    for server, standing in zip(servers, standings, strict=True):
        inner: Backend = server
        if chosen.commit.wait:
            inner = committed = Committed(server, wait=chosen.commit.wait, most=chosen.commit.bytes)
            counting.append(committed)
        watched.append(Watched(inner, standing, outliers))
    replicas = Replicas(watched, rule=_rule(chosen.balance, chance), outliers=outliers, chance=chance)
    counting.append(replicas)
    layer: Backend = replicas
    if has_several and chosen.hedge.after is not None:
        layer = hedged = _hedged(replicas, chosen)
        counting.append(hedged)
    if chosen.limits.in_flight is not None or chosen.limits.in_flight_per_replica is not None:
        layer = limited = limited_to(layer, chosen.limits, replicas)
        counting.append(limited)
    if has_several and chosen.retries.more:
        retries = chosen.retries
        least = retries.least * (len(servers) - 1)  # for each that may be gone
        layer = retried = Retried(layer, group=replicas, more=retries.more, share=retries.share, least=least)
        counting.append(retried)
    if has_several if chosen.health.enabled is None else chosen.health.enabled:
        interval = chosen.health.interval
        layer = checked = HealthChecked(layer, replicas=watched, outliers=outliers, interval=interval, chance=chance)
        counting.append(checked)
    return Stack(around(layer), replicas=replicas, counting=counting)


def limited_to(backend: Backend, limits: LimitsOptions, replicas: Replicas | None = None) -> Limited:
    """Return a backend with a bounded number of calls under way."""
    most = sys.maxsize if limits.in_flight is None else limits.in_flight
    return Limited(
        backend,
        room=(lambda: most) if replicas is None else (lambda: min(most, replicas.room)),
        queue=limits.queue,
        wait=limits.wait,
        weights=limits.weights,
    )


def _standing(name: str, chosen: ReplicaOptions) -> Standing:
    room = chosen.limits.in_flight_per_replica
    return Standing(
        name,
        room=sys.maxsize if room is None else room,
        slow_start=chosen.balance.slow_start,
        latency=PeakEwma(monotonic()) if chosen.balance.use == "power_of_two" else None,
    )


def _rule(chosen: BalanceOptions, chance: Random) -> Rule:
    rule: Rule
    match chosen.use:
        case "round_robin":
            rule = RoundRobin()
        case "power_of_two":
            rule = PowerOfTwo(chance)
        case "least_connections":
            rule = LeastConnections()
    return PrefixAffinity(rule) if chosen.prefix_affinity else rule


def _hedged(group: Group, chosen: ReplicaOptions) -> Hedged:
    after = chosen.hedge.after
    return Hedged(group, after=None if isinstance(after, str) else after, share=chosen.hedge.share)


def _sum(one: Figure, other: Figure) -> Figure:
    counts = dict(one.counts)
    for values, count in other.counts.items():
        counts[values] = counts.get(values, 0) + count
    return Figure(one.name, one.words, one.labels, counts, is_gauge=one.is_gauge)
