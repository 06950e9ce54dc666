"""Intents and records -> a ledger, by one thread that writes.

Beside an SQLite file an intent is a line of a journal, and a request becomes a row when it ends, or when that takes
long; elsewhere an intent is a row itself. All the rest is handed to the thread, which commits whatever has gathered
since its last commit. Several processes of one gateway may write, each its own requests. Rows and sums live in
`posting.py`, intents' lines in `journal.py`, engines in `engines`, reading in `place.py` and `reading.py`, who may
write in `holding.py`.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from router.base import Assessment, Attempt, Intent, Label, Rating, Record, Signal, Unavailable
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.journal import IntentFile, IntentJournal, journalled
from router.ledger.place import LedgerPlace, SqlitePlace, as_place, in_words
from router.ledger.posting import Batch, Found, Poster, Shadow
from router.ledger.retention import Eraser, Retention
from router.ledger.rows import names_of

SETTLED_WITHIN = 0.02  # seconds until a record is written, for which nobody waits: they share the pages of their sums
MANY = 512  # things that nobody waits for, from which on they are written with the next intent
BUSY = 8  # rows in a batch, from which on the next one may gather more: a commit costs more than its rows
GATHER = 0.002  # seconds; no backend answers so soon that a caller would wait for it
ERASED = 500  # texts at once, between which requests get their turn
RETRY = 0.5  # seconds between tries when the place refuses a settled record

_ENDLESS = float("inf")
_log = logging.getLogger(__name__)

_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


class _Written:
    """The wait for an intent that the kernel has already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_WRITTEN: Final = _Written()


class LedgerWriter:
    """A writer of a ledger that this gateway holds; those of another gateway are refused."""

    def __init__(
        self,
        place: LedgerPlace | Path,
        *,
        loop: asyncio.AbstractEventLoop,
        is_held: bool = False,
        retention: Retention | None = None,
    ) -> None:
        """Open the ledger and start the thread.

        Args:
            place: a path is that of an SQLite file.
            is_held: somebody has the ledger held for this gateway, such as the parent of several workers; otherwise it
                is held from here on, and what an earlier gateway left open is closed.
            retention: for how long what is kept; None keeps everything.

        Raises:
            Unavailable: the ledger is in use by another gateway, or cannot be written.
        """
        self._place, self._loop = as_place(place), loop
        self._held = None if is_held else hold(self._place)
        try:
            self._engine = engine_of(self._place)
        except Unavailable:
            if self._held is not None:
                self._held.close()
            raise
        self._poster = Poster(self._engine)
        self._eraser = None if retention is None else Eraser(self._engine, retention)
        self._waiting = _Waiting()
        self._journal: IntentJournal | None = None
        if isinstance(self._place, SqlitePlace):
            self._journal = IntentJournal(self._place.path, loop=loop, rotated=self._retire)
        self._retired: list[IntentFile] = []  # until all that they hold is in the ledger; the thread's
        self._forget_before: float | None = None
        self._holds_erased = False  # a log may hold text that is erased in the ledger
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._closing = self._waking = self._is_due = False
        self._later: asyncio.TimerHandle | None = None
        self._said = ""  # of what fails, so that a full disk is said once, not for each batch
        self._again = _ENDLESS  # on the clock that does not jump: when to try again after the place refused something
        self._is_refused = False
        self._doubted = set[str]()  # ids of records that were refused by themselves, and are tried once more
        self._thread = threading.Thread(target=self._write_until_closed, name="ledger", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        waiting = self._waiting
        records = len(waiting.wholes) + len(waiting.records)
        return f"<LedgerWriter {self._place} waiting: {len(waiting.intents)} intents, {records} records>"

    @property
    def thread(self) -> int:
        """Return the identity of the thread that writes."""
        return self._thread.ident or 0

    def is_refused(self) -> bool:
        """Tell whether the place took nothing when something was last written, for a reason that may pass."""
        return self._is_refused

    def open(self, intent: Intent) -> Awaitable[None]:
        """Write an intent down, or hand it over; see `router.base.Ledger`."""
        if self._journal is not None and not self._is_refused and self._journal.write(intent):
            return _WRITTEN
        written: asyncio.Future[None] = self._loop.create_future()
        self._waiting.intents.append((intent, written))
        if not self._waking:  # once for all that is handed over in this round of the loop
            self._waking = True
            self._loop.call_soon(self._ring)
        return written

    def settle(self, record: Record) -> None:
        """Hand over the end of a request; see `router.base.Ledger`."""
        intent = None if self._journal is None else self._journal.take(record.id)
        if intent is None:
            self._waiting.records.append(record)
        else:
            self._waiting.wholes.append((intent, record))
        if self._later is None:
            self._later = self._loop.call_later(SETTLED_WITHIN, self._wake)

    def shadow(self, request_id: str, attempt: Attempt, before: tuple[Attempt, ...] = ()) -> None:
        """Hand over a shadow call, begun or ended; see `router.base.Ledger`."""
        self._make_row(request_id)
        self._waiting.shadows.append(Shadow(request_id, attempt, before))
        self._wake_later()

    def label(self, label: Label) -> None:
        """Hand over a label; see `router.base.Ledger`."""
        self._waiting.labels.append(label)
        self._wake_later()

    def assess(self, assessment: Assessment) -> None:
        """Hand over what a reply looks like; see `router.base.Ledger`."""
        self._make_row(assessment.request_id)
        self._waiting.assessments.append(assessment)
        self._wake_later()

    def rate(self, rating: Rating) -> Awaitable[str | None]:
        """Keep a rating; see `router.base.Ledger`."""
        found: asyncio.Future[str | None] = self._loop.create_future()
        self._waiting.ratings.append((rating, found))
        self._wake()
        return found

    def signal(self, signal: Signal) -> Awaitable[str | None]:
        """Keep a signal; see `router.base.Ledger`."""
        found: asyncio.Future[str | None] = self._loop.create_future()
        self._waiting.signals.append((signal, found))
        self._wake()
        return found

    def forget(self, before: float) -> None:
        """Erase old text; see `router.base.Ledger`."""
        self._is_due = True  # first: the thread looks at them in the other order, and writes what it then erases
        self._forget_before = before
        self._wake()

    def _make_row(self, identifier: str) -> None:
        """Have an open request written, since something is said about it."""
        intent = None if self._journal is None else self._journal.take(identifier)
        if intent is not None:
            self._waiting.moved.append(intent)

    def _retire(self, file: IntentFile) -> None:
        """Have the requests of a file written that are open, and then the file removed."""
        self._waiting.moved.extend(file.open.values())
        self._waiting.retired.append(file)  # last: who finds it finds all that it holds
        self._wake_later()

    def _wake_later(self) -> None:
        if self._later is None:
            self._later = self._loop.call_later(SETTLED_WITHIN, self._wake)

    def _ring(self) -> None:
        """Have the intents written."""
        self._waking = False
        self._bell.put(None)

    def _wake(self) -> None:
        """Have everything written."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._journal is not None:
            self._journal.look()
        self._is_due = True
        self._bell.put(None)

    async def aclose(self) -> None:
        """Write what was handed over, close the ledger."""
        if self._journal is not None:
            self._journal.rotate()
        self._closing = True
        self._wake()
        await asyncio.to_thread(self._thread.join)
        self._engine.close()
        if self._held is not None:
            self._held.close()

    def _write_until_closed(self) -> None:
        handed_over = 0
        while True:
            self._hear()
            if handed_over >= BUSY and not self._closing:
                time.sleep(GATHER)
            before, self._forget_before = self._forget_before, None
            is_due = self._is_due or len(self._waiting.records) >= MANY
            if is_due:
                self._is_due = False  # before anything is taken: what comes after that rings again
            taken = self._waiting.take(all_of_it=is_due)
            handed_over = len(taken.intents)
            written = self._write(taken) if len(taken) else self._try()
            self._remove(taken.retired, written=written and is_due)
            if before is not None:
                self._forget(before)
            if self._closing and (not written or not len(self._waiting)) and self._forget_before is None:
                return  # what could not be written stays open in the ledger and is closed at the next start
            self._erase()

    def _hear(self) -> None:
        """Return when something was handed over, or rows are old enough to be erased."""
        waits = self._again - time.monotonic()
        if self._eraser is not None and not self._said:
            waits = min(waits, self._eraser.waits)
        with suppress(Empty):
            self._bell.get(timeout=None if waits == _ENDLESS else max(0.0, waits))
        if time.monotonic() >= self._again:
            self._again, self._is_due = _ENDLESS, True

    def _write(self, taken: "_Waiting") -> bool:
        """Commit what was taken; tells whether the place takes anything."""
        found, error, is_passing = Found(), None, False
        try:
            found = self._look_around(taken, self._poster.post(taken.batch()))
        except self._engine.errors as raised:
            error = raised
        if error is not None:
            is_passing = self._engine.is_passing(error)
            if not is_passing and len(taken) > 1:  # one row is to blame, not its neighbours
                written = [self._write(one) for one in taken.ones()]
                return all(written)
            if in_words(error) != self._said:
                _log.error("the ledger %s cannot be written: %s", self._place, in_words(error))
            if is_passing or self._doubts(taken):
                self._waiting.put_back(taken)
                self._again = time.monotonic() + RETRY
            else:
                self._leave_open(taken)
        elif self._doubted:
            self._doubted.difference_update(taken.settled())
        self._is_refused = is_passing
        self._said = "" if error is None else in_words(error)
        self._tell(taken.intents, [None] * len(taken.intents), error, "written, so nothing is answered")
        self._tell(taken.ratings, found.ratings, error, "written now")
        self._tell(taken.signals, found.signals, error, "written now")
        return not is_passing

    def _doubts(self, taken: "_Waiting") -> bool:
        """Tell whether what was refused is a record alone, for the first time: an answer was given for it."""
        settled = taken.settled()
        if len(settled) != 1 or self._closing:
            return False
        is_first = settled[0] not in self._doubted
        self._doubted ^= {settled[0]}
        return is_first

    def _leave_open(self, taken: "_Waiting") -> None:
        """Make a row of a request whose end is refused for good: the next start closes it."""
        if taken.wholes:
            with suppress(*self._engine.errors):
                self._poster.post(Batch(met=[intent for intent, _ in taken.wholes]))

    def _look_around(self, taken: "_Waiting", found: Found) -> Found:
        """Return what was found, also of requests that some process has written down and not yet made rows of."""
        if self._journal is None or None not in (*found.ratings, *found.signals):
            return found
        ratings = [rating for (rating, _), known in zip(taken.ratings, found.ratings, strict=True) if known is None]
        signals = [signal for (signal, _), known in zip(taken.signals, found.signals, strict=True) if known is None]
        names = {(rating.tenant, rating.request_id) for rating in ratings}
        names |= {(signal.tenant, signal.request_id) for signal in signals}
        met = [intent for intent in journalled(self._place) if not names.isdisjoint(names_of(intent))]
        if not met:
            return found
        again = self._poster.post(Batch(met=met, ratings=ratings, signals=signals))
        late_ratings, late_signals = iter(again.ratings), iter(again.signals)
        return Found(
            [known or next(late_ratings) for known in found.ratings],
            [known or next(late_signals) for known in found.signals],
        )

    def _remove(self, retired: list[IntentFile], *, written: bool) -> None:
        """Remove files that nothing is left of but in the ledger.

        Args:
            written: all that had gathered is: intents alone may be written while their elders are to be tried again.
        """
        self._retired += retired
        if self._retired and written and not self._doubted:
            for file in self._retired:
                file.remove()
            self._retired.clear()

    def _try(self) -> bool:
        """See whether a place that has refused something takes it now: where nobody asks, nobody would find out."""
        if self._is_refused and not self._closing:
            try:
                self._poster.probe()
            except self._engine.errors:
                self._again = time.monotonic() + RETRY
            else:
                self._is_refused, self._said = False, ""
        return True

    def _tell(
        self,
        asked: "deque[tuple[_Asked, asyncio.Future[_Told]]]",
        answers: Sequence[_Told],
        error: Exception | None,
        what: str,
    ) -> None:
        """Tell those who wait what became of it."""
        if asked:
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in asked], answers, error, what)

    def _forget(self, before: float) -> None:
        """Erase some of the text that is due, so that its bytes are in no part of the ledger any more."""
        try:
            erased = self._poster.forget(before, ERASED)
            self._holds_erased |= erased > 0
            if erased == ERASED and not self._closing:  # the rest after whatever has gathered meanwhile
                self._forget_before = before
                self._bell.put(None)
            elif self._holds_erased:
                self._holds_erased = not self._engine.fold()
        except self._engine.errors as error:
            _log.error("old text in the ledger %s cannot be erased, it is tried again later: %s", self._place, error)

    def _erase(self) -> None:
        """Erase some of the rows that are due; the rest after whatever has gathered meanwhile."""
        if self._eraser is None or self._said:
            return
        try:
            self._eraser.step()
        except self._engine.errors as error:
            _log.error("old rows of the ledger %s cannot be erased, it is tried again later: %s", self._place, error)


class _Waiting:
    """What was handed over and is not written; the loop appends, the thread takes."""

    def __init__(self) -> None:
        self.retired: list[IntentFile] = []
        self.intents: deque[tuple[Intent, asyncio.Future[None]]] = deque()
        self.moved: deque[Intent] = deque()
        self.wholes: deque[tuple[Intent, Record]] = deque()
        self.records: deque[Record] = deque()
        self.shadows: deque[Shadow] = deque()
        self.labels: deque[Label] = deque()
        self.assessments: deque[Assessment] = deque()
        self.ratings: deque[tuple[Rating, asyncio.Future[str | None]]] = deque()
        self.signals: deque[tuple[Signal, asyncio.Future[str | None]]] = deque()

    def __len__(self) -> int:
        return sum(map(len, self.everything()))

    def take(self, *, all_of_it: bool) -> "_Waiting":
        """Return the intents that have gathered, or all that has.

        Last things first: what they belong to was handed over before them, so that it is in this batch or in an
        earlier one.
        """
        taken = _Waiting()
        if all_of_it:
            taken.retired, self.retired = self.retired, []
        pairs = list(zip(self.everything(), taken.everything(), strict=True))
        for waiting, theirs in reversed(pairs if all_of_it else pairs[:1]):
            theirs.extend(waiting.popleft() for _ in range(len(waiting)))
        return taken

    def put_back(self, taken: "_Waiting") -> None:
        """Keep what an answer was given for, until it is recorded."""
        for mine, theirs in zip(self.everything()[1:-2], taken.everything()[1:-2], strict=True):
            mine.extendleft(reversed(theirs))

    def ones(self) -> "list[_Waiting]":
        """Return each thing on its own, in the order in which they may be written."""
        ones = []
        for index, waiting in enumerate(self.everything()):
            for each in waiting:
                one = _Waiting()
                one.everything()[index].append(each)
                ones.append(one)
        return ones

    def batch(self) -> Batch:
        """Return what is to be committed."""
        return Batch(
            intents=[intent for intent, _ in self.intents],
            met=self.moved,  # a rating may have made a row of it before, here or in another process
            wholes=self.wholes,
            records=self.records,
            shadows=self.shadows,
            labels=self.labels,
            assessments=self.assessments,
            ratings=[rating for rating, _ in self.ratings],
            signals=[signal for signal, _ in self.signals],
        )

    def settled(self) -> list[str]:
        """Return the ids of what ends."""
        return [*[record.id for _, record in self.wholes], *[record.id for record in self.records]]

    def everything(self) -> tuple[deque[Any], ...]:
        """Return everything in the order in which it is written."""
        return (
            self.intents,
            self.moved,
            self.wholes,
            self.records,
            self.shadows,
            self.labels,
            self.assessments,
            self.ratings,
            self.signals,
        )


def _resolve(
    waiting: "list[asyncio.Future[_Told]]", answers: Sequence[_Told], error: Exception | None, what: str
) -> None:
    """Tell those who wait; runs on the loop."""
    for index, future in enumerate(waiting):
        if future.done():
            continue  # the caller left meanwhile
        if error is None:
            future.set_result(answers[index])
        else:
            future.set_exception(Unavailable(f"the ledger cannot be {what}", code="ledger_unavailable", retry_after=1))
            future.exception()  # whoever failed before awaiting it has said why; nobody else need hear
