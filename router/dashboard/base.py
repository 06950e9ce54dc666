"""The words of the dashboard: what it must be given to be seen. No I/O.

Everything that it shows besides these comes out of the ledger.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from router.base import Price, Tier
from router.ledger.hosting import Standing
from router.ledger.place import LedgerPlace


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """One tier's backend as it is now; `price` is None where the price book does not know the model."""

    tier: Tier
    model: str
    ready: bool
    price: Price | None


class Alarm(Protocol):
    """Something that somebody should look at, for as long as it lasts."""

    @property
    def kind(self) -> str:
        """Return what it is, in a few words joined by underscores."""
        ...

    @property
    def labels(self) -> Sequence[tuple[str, str]]:
        """Return which of several things it is about, such as a tenant, as names and values."""
        ...

    @property
    def since(self) -> float:
        """Return when it began, seconds since 1970."""
        ...

    @property
    def said(self) -> str:
        """Return what was seen, in one line."""
        ...

    @property
    def runbook(self) -> str:
        """Return where it stands what to do."""
        ...


class Standings(Protocol):
    """Tells what GPUs of our own cost beside what the tokens cost; see `router.ledger.prices.PriceBook.standings`."""

    def __call__(self, allocated: Mapping[str, int], *, since: float, until: float) -> Sequence[Standing]:
        """Return one for each model that runs on GPUs of our own.

        Args:
            allocated: nano-USD of what each model's tokens cost.
            since, until: wall time, seconds since 1970.
        """
        ...


def nothing_of_our_own(allocated: Mapping[str, int], *, since: float, until: float) -> Sequence[Standing]:  # noqa: ARG001 - as `Standings` has it
    """Return that no GPU is ours."""
    return ()


@dataclass(frozen=True, slots=True)
class DashboardView:
    """What the pages are made from.

    Attributes:
        ledger: where it is, a path for an SQLite file; it is only read.
        version: of the program.
        backends: tells how each tier is now; given a second to answer.
        cache_kind: what keeps replies, in words.
        policy: "name@version" of what decides.
        threshold: the score from which Large is chosen; None where no score decides.
        alarms: tells what fires now; None where nobody watches.
        standings: tells what GPUs of our own cost.
        clock: wall time, seconds since 1970.
    """

    ledger: LedgerPlace | Path
    version: str
    backends: Callable[[], Awaitable[Sequence[BackendHealth]]]
    cache_kind: str
    policy: str
    threshold: float | None
    alarms: Callable[[], Sequence[Alarm]] | None = None
    standings: Standings = nothing_of_our_own
    clock: Callable[[], float] = time.time
