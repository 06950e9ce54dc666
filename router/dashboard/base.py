"""The words of the dashboard: what it must be given to be seen. No I/O.

Everything that it shows besides these comes out of the ledger.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from router.base import Price, Tier


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """One tier's backend as it is now; `price` is None where the price book does not know the model."""

    tier: Tier
    model: str
    ready: bool
    price: Price | None


@dataclass(frozen=True, slots=True)
class DashboardView:
    """What the pages are made from.

    Attributes:
        ledger_path: the SQLite file; it is only read.
        version: of the program.
        backends: tells how each tier is now; given a second to answer.
        cache_kind: what keeps replies, in words.
        policy: "name@version" of what decides.
        threshold: the score from which Large is chosen; None where no score decides.
        clock: wall time, seconds since 1970.
    """

    ledger_path: Path
    version: str
    backends: Callable[[], Awaitable[Sequence[BackendHealth]]]
    cache_kind: str
    policy: str
    threshold: float | None
    clock: Callable[[], float] = time.time
