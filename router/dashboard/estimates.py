"""A ledger -> the saving with its interval, worked out seldom and in nobody's way.

It takes longer than all other figures together, and changes slowly: whoever looks is shown the last one, which is
worked out anew in a thread once it has grown old. Only who comes first waits for it, and not for long.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.insight.savings import NoEstimate, SavingEstimate, saving
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.views import Window

FRESH: Final = 60.0  # seconds for which one is shown at least
REST: Final = 20.0  # and this many times what it took
FIRST: Final = 1.0  # seconds that whoever comes first waits
WITHIN: Final = 20.0  # seconds after which the ledger is left alone

Estimated = SavingEstimate | NoEstimate


@dataclass(frozen=True, slots=True)
class _Known:
    """An estimate, and until when it is shown (`time.monotonic`, seconds)."""

    estimated: Estimated
    until: float


class Savings:
    """What was saved in each span."""

    def __init__(self, ledger: LedgerPlace | Path) -> None:
        self._ledger = ledger
        self._known: dict[str, _Known] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def of(self, span: str, window: Window) -> Estimated | None:
        """Return the last estimate of a span; None where the first one is still being worked out."""
        known = self._known.get(span)
        if (known is None or known.until <= time.monotonic()) and span not in self._at_work:
            task = self._at_work[span] = asyncio.create_task(self._work_out(span, window))
            task.add_done_callback(lambda _: self._at_work.pop(span, None))
        if known is None:
            await asyncio.wait([self._at_work[span]], timeout=FIRST)
            known = self._known.get(span)
        return None if known is None else known.estimated

    async def _work_out(self, span: str, window: Window) -> None:
        began = time.monotonic()
        try:
            estimated: Estimated = await asyncio.to_thread(
                saving, self._ledger, since=window.start, until=window.now, within=WITHIN
            )
        except LedgerUnreadable as error:
            estimated = NoEstimate(str(error))
        ended = time.monotonic()
        self._known[span] = _Known(estimated, until=ended + max(FRESH, REST * (ended - began)))
