"""Keyed requests, as they come -> when one exact cache has a reply for each, or that a model is asked.

Does what `cache.replies` and `router.single_flight` do together: a reply is kept from the moment at which it was whole,
for as long as replies are kept, and whoever comes while an equal request of the same process is being answered waits
for that one. The store holds whatever it is given; that it may be full, or away, is not known here. Times are seconds
since 1970.
"""

from typing import Final, Literal, NamedTuple

from msgspec import Struct

from router.single_flight import PATIENCE

Fate = Literal["kept", "alone", "next"]
"""What those are told who wait for a request: its reply; that there is one, and it is nobody else's; that there is
none, so that the next of them asks."""

_SWEEP: Final = 1 << 16  # requests, after which what is over is let go


class Met(NamedTuple):
    """What a request finds.

    Attributes:
        is_hit: a reply, at `at`; else a model is asked from then on.
        waited: for an equal request.
        leads: others will wait for this one.
    """

    is_hit: bool
    at: float
    waited: bool = False
    leads: bool = True


class _Flight(Struct):
    since: float
    end: float
    fate: Fate


class SimulatedCache:
    """One store, and who waits in each process.

    Args:
        ttl: seconds that a reply is kept; 0.0 for a cache that is switched off.
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._kept: dict[str, list[float]] = {}
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._met = 0

    def meet(self, key: str, process: str, at: float) -> Met:
        """Return what a request finds that comes at a moment; those before it came earlier."""
        if not self.ttl:
            return Met(is_hit=False, at=at, leads=False)
        self._met += 1
        if self._met % _SWEEP == 0:
            self._sweep(at)
        flight = self._flights.get((process, key))
        if flight is None or flight.end <= at:
            return Met(self._has(key, at), at)
        patient = max(at, flight.since + PATIENCE)
        if flight.end > patient:
            flight.since = patient
            return Met(self._has(key, patient), patient, waited=True)
        if flight.fate == "kept":
            return Met(is_hit=True, at=flight.end, waited=True, leads=False)
        return Met(self._has(key, flight.end), flight.end, waited=True, leads=flight.fate == "next")

    def answer(self, key: str, process: str, met: Met, *, end: float, fate: Fate) -> None:
        """Note when a model's reply to a request ended, and what that is to those who wait."""
        if not self.ttl:
            return
        if fate == "kept":
            self._kept.setdefault(key, []).append(end)
        flight = self._flights.get((process, key))
        if met.leads and (flight is None or flight.end <= met.at):
            self._flights[process, key] = _Flight(met.at, end, fate)

    def lend(self, key: str, process: str, *, at: float, end: float) -> None:
        """Note that a request got a reply elsewhere, which those get who wait for it, and nobody later."""
        if self.ttl:
            self._flights[process, key] = _Flight(at, end, "kept")

    def _has(self, key: str, at: float) -> bool:
        kept = self._kept.get(key)
        if kept is None:
            return False
        kept[:] = [whole for whole in kept if at < whole + self.ttl]
        return any(whole <= at for whole in kept)

    def _sweep(self, at: float) -> None:
        self._kept = {key: kept for key, kept in self._kept.items() if at < max(kept, default=0.0) + self.ttl}
        self._flights = {place: flight for place, flight in self._flights.items() if at < flight.end}
