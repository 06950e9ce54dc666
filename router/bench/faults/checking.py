"""Three books -> what is wrong in them.

Each rule is a function of the books alone, so that a test can hand it books with one fault in them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from router.bench.faults.base import OK, Asked, Books, End, Finding, Got, Kept, Served
from router.bench.faults.books import entries
from router.bench.faults.plays import FAILED, may_be_complete, statuses_of
from router.bench.faults.seen import Seen, read

KINDS: Final = {
    "lost": "answers without exactly one closed record",
    "duplicate": "requests that were charged twice",
    "hung": "answers that were open a second after their deadline",
    "truncated": "streams that ended cleanly though they are not complete",
    "garbled": "unstreamed answers with status 200 that are no whole answer",
    "unplanned": "answers with a status, or of a shape, that no fault explains",
    "foreign": "answers that were made for another tenant",
    "disagreements": "requests of which two books say different things",
    "not_let_go": "calls that went on a second after their caller had left",
}
"""What can be wrong with a request, in words; of each there may be none."""

_RESENT: Final = frozenset(("reset", "close"))
LET_GO: Final = 1.0  # seconds from a caller's leaving to the end of the call at the backend
UNWRITTEN: Final = 0.5  # seconds before a kill, in which an answer may have ended whose record was not yet closed
_SLACK: Final = 0.5  # seconds that a busy machine may take to notice either
LONGEST_RETRY: Final = 120  # seconds that a client may be told to wait; the SDKs heed no more
_SHED: Final = frozenset((429, 503))
_VISIBLE: Final = frozenset((429, *FAILED))
"""Refusals that no play explains: of a gateway that sheds, or whose replica, tier or retries were away just then."""


@dataclass(frozen=True)
class Case:
    """One request in all three books.

    Attributes:
        killed: the gateway, or the backend, was killed meanwhile: connections end without a word then.
    """

    got: Got
    calls: tuple[Served, ...]
    records: tuple[Kept, ...]
    killed: bool = False

    @property
    def asked(self) -> Asked:
        """Return what was asked."""
        return self.got.asked

    @cached_property
    def seen(self) -> Seen:
        """Return what the answer says."""
        return read(self.got)

    @property
    def is_delivered(self) -> bool:
        """Tell whether the caller was given something of an answer."""
        return self.got.status == OK

    @property
    def is_replayed(self) -> bool:
        """Tell whether it is the answer to an earlier request with the same idempotency key."""
        return bool(self.asked.key) and self.got.headers.get("idempotent-replayed") == "true"


Rule = Callable[[Case], str]
"""Returns what is wrong, in words; "" where nothing is."""


def _lost(case: Case) -> str:
    closed = [record for record in case.records if record.outcome is not None]
    was_served = bool(case.calls) and not case.killed  # a call may be made before its intent is written
    if case.is_replayed and not case.calls:
        return ""  # it is the first answer to its key, which has its record
    if (case.is_delivered or was_served) and not closed:
        return "no closed record" if case.records else "no record"
    return ""


def _duplicate(case: Case) -> str:
    if len(case.records) > 1:
        return f"{len(case.records)} records"
    charged = sum(bool(charge.cost) for record in case.records for charge in record.charges)
    return f"{charged} charges for {len(case.calls)} calls" if charged > len(case.calls) else ""


def _hung(case: Case) -> str:
    return "still open" if case.got.end is End.LATE else ""


def _truncated(case: Case) -> str:
    is_clean = case.is_delivered and case.asked.stream and case.got.end is End.WHOLE
    return "a clean end of a stream that is not complete" if is_clean and not case.seen.is_complete else ""


def _garbled(case: Case) -> str:
    is_clean = case.is_delivered and not case.asked.stream and case.got.end is End.WHOLE
    return "no whole answer" if is_clean and not case.seen.is_complete else ""


def _ended_without_a_word(case: Case) -> str:
    is_mute = case.got.end in (End.CUT, End.REFUSED) and not case.got.status and not case.killed
    return f"{case.got.end} without an answer" if is_mute else ""


def _of_no_status(case: Case) -> str:
    got, asked = case.got, case.asked
    allowed = statuses_of(asked.plays, stream=asked.stream) | _VISIBLE | ({409} if asked.key else set[int]())
    return f"status {got.status}" if got.status and got.status not in allowed else ""


def _cut(case: Case) -> str:
    if case.got.end is not End.CUT or not case.got.status or case.killed:
        return ""
    if not case.is_delivered:
        return "an error that was cut"
    if not case.asked.stream:
        return "an unstreamed answer that was cut"
    return "" if case.seen.error else "a stream that was cut without an error event"


def _given_by_nobody(case: Case) -> str:
    is_complete = case.is_delivered and case.seen.is_complete and case.got.end is End.WHOLE
    is_possible = may_be_complete(case.asked.plays, stream=case.asked.stream)
    return "a complete answer that no backend gave" if is_complete and not is_possible else ""


def _of_no_shape(case: Case) -> str:
    if not case.got.status or case.got.end is not End.WHOLE:
        return ""
    if not case.got.headers.get("x-request-id"):
        return "no x-request-id"
    return "" if case.seen.has_shape or _is_passed_on(case) else "an error of another shape"


def _without_a_time(case: Case) -> str:
    if case.got.status not in _SHED or _is_passed_on(case):
        return ""
    told = case.got.headers.get("retry-after", "")
    is_fit = told.isdigit() and 1 <= int(told) <= LONGEST_RETRY
    return "" if is_fit else f"status {case.got.status} with retry-after {told!r}"


def _is_passed_on(case: Case) -> bool:
    return any(str(case.got.status) == play for play in case.asked.plays)


def _not_let_go(case: Case) -> str:
    if case.got.end is not End.LEFT:
        return ""
    late = [call for call in case.calls if (call.ended or call.began) > case.got.ended + LET_GO + _SLACK]
    return f"{len(late)} calls went on" if late else ""


def _differently_recorded(case: Case) -> str:
    if not case.records or case.got.end in (End.LEFT, End.LATE, End.REFUSED):
        return ""
    (record, *_) = case.records
    if record.tenant != case.asked.tenant:
        return f"recorded as {record.tenant}"
    if case.killed or record.outcome is None:
        return ""
    return _end_differs(case, record)


def _uncounted(case: Case) -> str:
    """Compare calls with attempts; one that was reset unanswered may have been sent twice on one attempt."""
    if case.killed or case.got.end is End.LEFT or len(case.records) != 1:
        return ""
    answered = sum(call.play not in _RESENT for call in case.calls)
    attempts = len(case.records[0].charges)
    return f"{answered} calls were answered, {attempts} attempts are recorded" if answered > attempts else ""


def _end_differs(case: Case, record: Kept) -> str:
    """Compare how it ended with how it is said to have ended, and what it took."""
    if case.is_delivered and case.seen.is_complete:
        was_answered = record.outcome in ("answered", "kept")
        return _usage_differs(case, record) if was_answered else f"answered, and recorded as {record.outcome}"
    if case.is_delivered:
        return "" if record.outcome == "broken" else f"broken, and recorded as {record.outcome}"
    is_same = case.got.status in (0, record.status)
    return "" if is_same else f"status {case.got.status}, and recorded as {record.status}"


def _usage_differs(case: Case, record: Kept) -> str:
    """Compare the tokens that the backend told with those that were recorded; a kept reply has no attempt.

    Tokens that nobody told are estimated, and are held against nothing.
    """
    told_of = [charge for charge in record.charges if charge.source != _ESTIMATED]
    paid = [charge for charge in told_of if not charge.error and charge.output is not None]
    told = [call.usage for call in case.calls if call.how == "whole" and call.usage is not None]
    recorded = [((each.fresh or 0) + (each.cached or 0), each.cached or 0, each.output) for each in paid]
    missing = [each for each in recorded if each not in told]
    return f"tokens {missing} are recorded, {told} were told" if missing else ""


_ESTIMATED: Final = "tokenizer"

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("lost", _lost),
    ("duplicate", _duplicate),
    ("hung", _hung),
    ("truncated", _truncated),
    ("garbled", _garbled),
    ("unplanned", _ended_without_a_word),
    ("unplanned", _of_no_status),
    ("unplanned", _cut),
    ("unplanned", _given_by_nobody),
    ("unplanned", _of_no_shape),
    ("unplanned", _without_a_time),
    ("disagreements", _differently_recorded),
    ("disagreements", _uncounted),
    ("not_let_go", _not_let_go),
)
"""In the order of their weight: of one request only the first that finds something is told."""


def check(books: Books, *, kills: tuple[tuple[float, float], ...] = ()) -> tuple[Finding, ...]:
    """Return all that is wrong.

    Args:
        kills: from when to when a process was away, on the clock of `time.monotonic`.
    """
    found = list[Finding]()
    for case in _cases(books, kills):
        named = ((kind, rule(case)) for kind, rule in RULES)
        found += [_finding(kind, case.asked.id, what, books) for kind, what in named if what][:1]
    found += [_finding("foreign", name, what, books) for name, what in _foreign(books)]
    found += [_finding("duplicate", name, what, books) for name, what in _keyed_twice(books)]
    return tuple(found)


def _cases(books: Books, kills: tuple[tuple[float, float], ...]) -> Iterator[Case]:
    for got in books.client:
        name = got.asked.id
        killed = any(got.began <= until and since - UNWRITTEN <= got.ended for since, until in kills)
        yield Case(got, books.backend.get(name, ()), books.ledger.get(name, ()), killed)


def _foreign(books: Books) -> Iterator[tuple[str, str]]:
    """Yield answers that were made for a request of another tenant, or that nobody could have made."""
    tenants = {got.asked.id: got.asked.tenant for got in books.client}
    for got in books.client:
        origin = read(got).origin if got.status == OK else ""
        if origin and tenants.get(origin) != got.asked.tenant:
            yield got.asked.id, f"its answer was made for {origin} of {tenants.get(origin, 'nobody')}"


def _keyed_twice(books: Books) -> Iterator[tuple[str, str]]:
    """Yield requests of one idempotency key that were answered by two calls."""
    origins = defaultdict[str, set[str]](set)
    for got in books.client:
        if got.asked.key and got.status == OK and got.end is End.WHOLE:
            origins[got.asked.key].add(read(got).origin)
    for got in books.client:
        if len(origins.get(got.asked.key, ())) > 1:
            yield got.asked.id, f"key {got.asked.key} was answered {len(origins[got.asked.key])} times"


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many of each kind there are, those without any too."""
    found = dict.fromkeys(KINDS, 0)
    for finding in findings:
        found[finding.kind] = found.get(finding.kind, 0) + 1
    return found


def _finding(kind: str, name: str, what: str, books: Books) -> Finding:
    return Finding(kind, name, what, entries(name, books))
