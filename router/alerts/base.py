"""The words of alerts: what was read, what fires, who watches and who is told. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from router.alerts.kinds import KINDS, Kind
from router.base import Intent, Record

Labels = tuple[tuple[str, str], ...]

Settled = tuple[Intent, Record]
"""A request that has ended."""


class Reading(Struct, frozen=True):
    """What one look at one thing has shown.

    Attributes:
        kind: one of `router.alerts.kinds.KINDS`.
        labels: which thing, such as a tenant; none where there is one alone.
        is_bad: None where the look says neither.
        said: what was seen, in one line.
    """

    kind: str
    labels: Labels
    is_bad: bool | None
    said: str


class Alert(Struct, frozen=True):
    """Something that fires, or has just ceased to.

    Attributes:
        since: when it began to fire, seconds since 1970.
        ended: when it ceased; None while it fires.
        runbook: where it stands what to do.
    """

    kind: str
    labels: Labels
    since: float
    said: str
    runbook: str
    ended: float | None = None

    @property
    def of(self) -> Kind:
        """Return what kind of alert it is."""
        return KINDS[self.kind]

    @property
    def fingerprint(self) -> str:
        """Return what stays the same for as long as it fires, and when it ceases."""
        return "\n".join((self.kind, *(f"{name}={value}" for name, value in self.labels)))


class Detector(Protocol):
    """Watches one thing, or several of a kind; touched by one task alone."""

    def take(self, settled: Sequence[Settled]) -> None:
        """Count requests that have ended, oldest first."""
        ...

    def look(self, now: float) -> Iterable[Reading]:
        """Return what is to be said at this wall time, seconds since 1970; called about once a second."""
        ...
