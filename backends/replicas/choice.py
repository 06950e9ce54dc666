"""Calls -> replies of one of several replicas.

Who is out, has no room or has failed the call already is passed over, and so is now and then who has just come back; a
rule chooses among the others. Where a replica is due for a trial, the next call is that trial. Nothing is tried again
here, and nothing waits.
"""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from time import monotonic
from typing import Final

from backends.base import Call, OutOfService, Overloaded, Reply
from backends.replicas.base import Figure, Rule, gauges, names_of
from backends.replicas.outliers import REST, Outliers
from backends.replicas.standing import STATES, Standing
from backends.replicas.watched import Watched

TICK: Final = 0.05
"""Seconds between two looks at a replica that is drained."""


class Replicas:
    """A group of replicas.

    Args:
        replicas: at least one, with names of their own; closed with this.
        rule: chooses among those that could all be asked.
        outliers: knows who is in service; of the same replicas.
        chance: whether one that has just come back takes part in a choice.
    """

    def __init__(self, replicas: Sequence[Watched], *, rule: Rule, outliers: Outliers, chance: Random) -> None:
        self._by_name = {each.standing.name: each for each in replicas}
        self._standings = [each.standing for each in replicas]
        self._only = replicas[0] if len(replicas) == 1 else None
        self._rule, self._outliers, self._chance = rule, outliers, chance
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Replicas {', '.join(map(repr, self._by_name.values()))}>"

    async def send(self, call: Call) -> Reply:
        """Return the reply of the replica that is chosen.

        Raises:
            OutOfService, Overloaded: as `pick` does.
            BackendError: as the replica does.
        """
        return await self.pick(call).send(call)

    def pick(self, call: Call) -> Watched:
        """Return the replica to send a call to, at once.

        Raises:
            OutOfService: none is in service, or the call avoids those that are.
            Overloaded: those that are in service have no room.
        """
        only = self._only
        if only is not None:
            standing = only.standing
            if (
                not standing.out_until
                and standing.in_flight < standing.room
                and not (standing.is_draining or call.avoid)
            ):
                return only
        now = monotonic()
        standing = self._chosen(call, now)
        self._turn += 1
        standing.turn = self._turn
        return self._by_name[standing.name]

    @property
    def active(self) -> int:
        """Return how many calls are under way."""
        return sum(each.in_flight for each in self._standings)

    @property
    def room(self) -> int:
        """Return how many calls those in service may be busy with; one at least, so that somebody finds out."""
        return max(1, sum(each.room for each in self._standings if not (each.is_out or each.is_draining)))

    def is_out(self, name: str) -> bool:
        """Tell whether a replica was taken out of service."""
        return self._by_name[name].standing.is_out

    async def drain(self, name: str, *, within: float) -> bool:
        """Give a replica no further calls; tells whether those under way ended in time.

        Args:
            within: seconds.

        Raises:
            KeyError: there is none of that name.
        """
        standing = self._by_name[name].standing
        standing.is_draining = True
        until = monotonic() + within
        while standing.in_flight and monotonic() < until:  # noqa: ASYNC110 - no call shall pay for telling of its end
            await asyncio.sleep(TICK)
        return not standing.in_flight

    def restore(self, name: str) -> None:
        """Let a replica that was drained take calls again, few at first.

        Raises:
            KeyError: there is none of that name.
        """
        standing = self._by_name[name].standing
        if standing.is_draining:
            standing.is_draining = False
            standing.back_at, standing.is_warming = monotonic(), True

    async def is_ready(self) -> bool:
        """Tell whether one of them is ready; never raises."""
        asked = [each for each in self._by_name.values() if not each.standing.is_draining]
        return any(await asyncio.gather(*(each.is_ready() for each in asked)))

    async def aclose(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(each.aclose() for each in self._by_name.values()))

    def figures(self) -> Iterator[Figure]:
        """Yield what is known of each."""
        now, standings = monotonic(), self._standings
        states: dict[tuple[str, ...], float] = {
            (each.name, state): float(each.state(now) == state) for each in standings for state in STATES
        }
        yield Figure(
            "replica_state", "1 for the state that a replica is in", ("replica", "state"), states, is_gauge=True
        )
        flying = {each.name: each.in_flight for each in standings}
        yield gauges("replica_in_flight", "Calls that a replica is busy with", flying, by="replica")
        answered: dict[tuple[str, ...], float] = {(each.name,): each.answered for each in standings}
        yield Figure("replica_answers", "Calls that a replica answered", ("replica",), answered)
        for name, words, counts in (
            ("replica_failures", "Calls that a replica did not answer, by cause", "failed"),
            ("replica_ejections", "Times that a replica was taken out of service, by cause", "ejected"),
        ):
            by_cause: dict[tuple[str, ...], float] = {
                (each.name, cause): count for each in standings for cause, count in getattr(each, counts).items()
            }
            yield Figure(name, words, ("replica", "cause"), by_cause)

    def _chosen(self, call: Call, now: float) -> Standing:
        ready: list[Standing] = []
        last: list[Standing] = []
        out: list[Standing] = []
        for each in self._standings:
            if each.is_draining or each.name in call.avoid:
                continue
            if each.out_until:
                if self._outliers.is_due(each, now) and each.in_flight < each.room:
                    return _on_trial(each, now)
                out.append(each)
            elif each.in_flight < each.room:
                (last if each.cool_until > now or self._is_spared(each, now) else ready).append(each)
        among = ready or last
        if among:
            return among[0] if len(among) == 1 else self._rule.choose(among, call, now)
        return self._last_hope(call, out, now)

    def _is_spared(self, standing: Standing, now: float) -> bool:
        return standing.is_warming and self._chance.random() >= standing.share(now)

    def _last_hope(self, call: Call, out: Sequence[Standing], now: float) -> Standing:
        in_service = [each for each in self._standings if not (each.is_draining or each.is_out)]
        if any(each.name not in call.avoid for each in in_service):
            raise Overloaded(f"no room with {names_of(in_service)}: raise limits.in_flight", retry_after=REST)
        for each in sorted(out, key=lambda each: each.tried_at):
            if self._outliers.may_be_last_hope(each, now) and each.in_flight < each.room:
                return _on_trial(each, now)
        raise OutOfService("no replica is in service; the next trial is due in a moment", retry_after=REST)


def _on_trial(standing: Standing, now: float) -> Standing:
    standing.on_trial = True
    standing.tried_at = now
    return standing
