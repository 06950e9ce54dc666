"""A ledger around a ledger, which hands on all that it is given: for those that watch some of it.

Knows nothing of what is watched, or why.
"""

from collections.abc import Awaitable

from router.base import Assessment, Attempt, Intent, Label, Ledger, Rating, Record, Signal


class WrappedLedger:
    """A ledger that hands on everything; see `router.base.Ledger`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def open(self, intent: Intent) -> Awaitable[None]:
        """Hand over an intent."""
        return self._ledger.open(intent)

    def settle(self, record: Record) -> None:
        """Hand over a record."""
        self._ledger.settle(record)

    def shadow(self, request_id: str, attempt: Attempt, before: tuple[Attempt, ...] = ()) -> None:
        """Hand over a shadow call."""
        self._ledger.shadow(request_id, attempt, before)

    def label(self, label: Label) -> None:
        """Hand over a label."""
        self._ledger.label(label)

    def rate(self, rating: Rating) -> Awaitable[str | None]:
        """Keep a rating."""
        return self._ledger.rate(rating)

    def assess(self, assessment: Assessment) -> None:
        """Hand over what a reply looks like."""
        self._ledger.assess(assessment)

    def signal(self, signal: Signal) -> Awaitable[str | None]:
        """Keep a signal."""
        return self._ledger.signal(signal)

    def forget(self, before: float) -> None:
        """Erase old text."""
        self._ledger.forget(before)

    async def aclose(self) -> None:
        """Close the ledger."""
        await self._ledger.aclose()
