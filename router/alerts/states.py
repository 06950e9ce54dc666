"""Readings -> alerts that begin to fire and cease, each once.

An alert begins after so many bad looks in a row and ceases after so many good ones, as its kind says; a look that says
neither changes nothing. Pure but for what it remembers.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from router.alerts.base import Alert, Labels, Reading
from router.alerts.kinds import KINDS

MOST: Final = 1_000
"""Things that are told apart; where there are more, those that came first are kept."""


class _Standing(Struct):
    """How one thing stands; `alert` is None while nothing fires."""

    bad: int = 0
    good: int = 0
    alert: Alert | None = None


class States:
    """All that fires.

    Args:
        runbook: address that the sections are parts of.
    """

    def __init__(self, runbook: str) -> None:
        self._runbook = runbook
        self._standing: dict[tuple[str, Labels], _Standing] = {}

    def take(self, readings: Iterable[Reading], now: float) -> list[Alert]:
        """Return the alerts that begin or cease with these readings."""
        changed: list[Alert] = []
        for reading in readings:
            alert = self._step(reading, now)
            if alert is not None:
                changed.append(alert)
        return changed

    def firing(self) -> tuple[Alert, ...]:
        """Return what fires now, in the order in which it began."""
        found = [each.alert for each in self._standing.values() if each.alert is not None]
        return tuple(sorted(found, key=lambda alert: alert.since))

    def _step(self, reading: Reading, now: float) -> Alert | None:
        key, kind = (reading.kind, reading.labels), KINDS[reading.kind]
        standing = self._standing.get(key)
        if standing is None:
            if not reading.is_bad or len(self._standing) >= MOST:
                return None
            standing = self._standing[key] = _Standing()
        if reading.is_bad is None:
            return None
        standing.bad, standing.good = (standing.bad + 1, 0) if reading.is_bad else (0, standing.good + 1)
        alert = standing.alert
        if alert is None and standing.bad >= kind.fires_after:
            standing.alert = Alert(reading.kind, reading.labels, now, reading.said, kind.runbook(self._runbook))
            return standing.alert
        if alert is not None and standing.good >= kind.clears_after:
            del self._standing[key]
            return Alert(alert.kind, alert.labels, alert.since, reading.said, alert.runbook, ended=now)
        if alert is None and standing.good:
            del self._standing[key]
        return None
