"""Alert options -> a watch that runs, and goes on when the configuration changes.

What was counted outlives a configuration that leaves the options as they are: a sum that has nearly rung is not
forgotten. Other options begin anew, but for what was learnt.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from router.alerts.base import Alert
from router.base import Ledger
from router.config.alerts import AlertsOptions
from router.guards.limits.base import Use
from router.ledger.place import LedgerPlace, SqlitePlace, as_place

if TYPE_CHECKING:  # numpy is loaded only where something needs it
    from router.alerts.watch import Watch


class Alerts(Collector):
    """The watch of one process.

    Args:
        ledger: beside which is kept what was learnt.
        budgets: gives what those have used whose money is limited.
    """

    def __init__(self, ledger: LedgerPlace | Path, budgets: Callable[[], Sequence[Use]]) -> None:
        self._ledger, self._budgets = as_place(ledger), budgets
        self._options: AlertsOptions | None = None
        self._watch: Watch | None = None

    async def revise(self, options: AlertsOptions, *, source: str) -> None:
        """Watch by these options from now on.

        Args:
            source: names this process to whoever is told.
        """
        if options == self._options:
            return
        await self.aclose()
        self._options = options
        if options.enabled:
            await asyncio.to_thread(_load)  # off the loop: a gateway may be answering on it
            self._watch = _open(options, self._ledger, self._budgets, source)

    def watched(self, ledger: Ledger) -> Ledger:
        """Return a ledger that is watched; the same one where nothing is."""
        return ledger if self._watch is None else self._watch.watched(ledger)

    def firing(self) -> tuple[Alert, ...]:
        """Return what fires now, the oldest first."""
        return () if self._watch is None else self._watch.firing()

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        if self._watch is not None:
            yield from self._watch.collect()

    async def aclose(self) -> None:
        """Watch no more."""
        watch, self._watch, self._options = self._watch, None, None
        if watch is not None:
            await watch.aclose()


def _load() -> None:
    import router.alerts.watching  # noqa: F401, PLC0415  (numpy is loaded only where something needs it)


def _open(options: AlertsOptions, ledger: LedgerPlace, budgets: Callable[[], Sequence[Use]], source: str) -> "Watch":
    from router.alerts.watching import watch_of  # noqa: PLC0415  (likewise)

    memory = options.beside(ledger.path if isinstance(ledger, SqlitePlace) else None)
    watch = watch_of(options, memory=memory, source=source, budgets=budgets)
    watch.start()
    return watch
