"""A batch -> one transaction: its rows, and what they add to the cubes.

Whatever is posted twice counts once: a record closes only what is open, and what is said again of a request takes the
place of what was said before, in the sums as well. Blocking; belongs to the thread that writes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.base import Assessment, Attempt, Intent, Label, Rating, Record, Signal
from router.ledger import rows
from router.ledger.cubes import Afterwards, Deltas, Ended, Facts, Signs, afterwards_of, ended_of, interrupted
from router.ledger.engines.base import NUL, Engine, Row, Shape

TRIES: Final = 5  # of a transaction that other writers are in the way of
AT_ONCE: Final = 500  # requests that are interrupted in one transaction
PROBE_BYTES: Final = 16 * 1024  # more than a batch of one request needs

_PROBE: Final = Shape("marks", ("name", "value"), clash="replace")

_FACTS: Final = """
SELECT id, tenant, tier, experiment, arm, minute, unit, score, stream, reserved, outcome, source, cache, served
FROM requests WHERE id {among}
"""
_THERE: Final = "SELECT id FROM requests WHERE id {among}"
_LATE_ATTEMPTS: Final = """
SELECT request_id, position, cost, usage_source FROM attempts WHERE position >= 1000 AND request_id {among}
"""
_SIGNS: Final = """
SELECT request_id, is_repetitive, is_refusal, is_empty, is_truncated FROM assessments WHERE request_id {among}
"""
# Text alone, which no index holds; a later look erases what is left.
_FORGET: Final = (
    """UPDATE labels SET prompt = NULL WHERE request_id IN
    (SELECT request_id FROM labels WHERE made < :before AND prompt IS NOT NULL LIMIT :most)""",
    """UPDATE ratings SET comment = NULL WHERE request_id IN
    (SELECT request_id FROM ratings WHERE given < :before AND comment IS NOT NULL LIMIT :most)""",
)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A call that was made after a request, for learning.

    Attributes:
        before: who was asked for it before, in vain.
    """

    request_id: str
    attempt: Attempt
    before: tuple[Attempt, ...] = ()

    def placed(self) -> Iterator[tuple[int, Attempt]]:
        """Yield its attempts, each at its position."""
        for number, attempt in enumerate((self.attempt, *self.before)):
            yield rows.position_afterwards(self.attempt.kind, number), attempt


@dataclass(frozen=True, slots=True)
class Batch:
    """What is committed together, in the order in which it is written.

    Attributes:
        met: intents that another process has written down, and may have made rows of meanwhile.
        wholes: requests that end before they have a row.
    """

    intents: Sequence[Intent] = ()
    met: Sequence[Intent] = ()
    wholes: Sequence[tuple[Intent, Record]] = ()
    records: Sequence[Record] = ()
    shadows: Sequence[Shadow] = ()
    labels: Sequence[Label] = ()
    assessments: Sequence[Assessment] = ()
    ratings: Sequence[Rating] = ()
    signals: Sequence[Signal] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Our ids of the requests that ratings and signals are about; None for those that the tenant has not."""

    ratings: list[str | None] = field(default_factory=list)
    signals: list[str | None] = field(default_factory=list)


class _Outdated(Exception):
    """What is remembered of open requests is not what the ledger holds: it has to be asked."""


class Poster:
    """Writes batches; remembers what it has opened, so that a record costs no look-up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: dict[str, Facts] = {}
        self._early: set[str] = set()  # requests that something was said about before they were closed

    def post(self, batch: Batch) -> Found:
        """Write a batch, wholly or not at all.

        Raises:
            Exception: one of the engine's errors; nothing of the batch is in the ledger, as far as that is known.
        """
        engine, asks_first = self._engine, False
        for left in reversed(range(TRIES)):
            try:
                return self._post(batch, asks_first=asks_first)
            except _Outdated:
                asks_first = True
            except engine.errors as error:
                if not engine.is_collision(error) or not left:
                    raise
        raise RuntimeError("a batch was outdated as often as it was looked up")

    def interrupt(self, statement: str, parameters: dict[str, object]) -> int:
        """Close the open requests whose ids a SELECT gives; returns how many that were."""
        engine = self._engine
        left = [str(identifier) for (identifier,) in engine.run(statement, parameters)[0]]
        closed = 0
        for begin in range(0, len(left), AT_ONCE):
            with engine.transaction():
                facts = self._read_open(left[begin : begin + AT_ONCE])
                ended = {identifier: interrupted(each) for identifier, each in facts.items()}
                engine.settle(rows.CLOSING, [rows.interrupted_row(*each) for each in ended.items()])
                deltas = Deltas()
                for identifier, each in ended.items():
                    deltas.settle(facts[identifier], each)
                self._add_early(facts, ended, set(facts), deltas)
                deltas.write(engine)
                closed += len(facts)
        return closed

    def recover(self, intents: Sequence[Intent]) -> int:
        """Make rows of what a process that has ended had written down; what has a row keeps it.

        Returns:
            How many no row can hold: one of them is no reason to lose its neighbours.

        Raises:
            Exception: one of the engine's errors, where the place takes nothing.
        """
        refused = 0
        for begin in range(0, len(intents), AT_ONCE):
            some = intents[begin : begin + AT_ONCE]
            try:
                self.post(Batch(met=some))
            except self._engine.errors as error:
                if self._engine.is_passing(error):
                    raise
                refused += 1 if len(some) == 1 else sum(self.recover([each]) for each in some)
        return refused

    def probe(self) -> None:
        """Write what needs some room, and take it back in the same transaction.

        Raises:
            Exception: one of the engine's errors, where the place does not take it.
        """
        with self._engine.transaction():
            self._engine.insert(_PROBE, [("probe", "x" * PROBE_BYTES)])
            self._engine.run("DELETE FROM marks WHERE name = :name", {"name": "probe"})

    def forget(self, before: float, most: int) -> int:
        """Erase text that is older, some of it at once; returns how much of one kind that was at most."""
        with self._engine.erasing(), self._engine.transaction():
            return max(self._engine.run(statement, {"before": before, "most": most})[1] for statement in _FORGET)

    def _post(self, batch: Batch, *, asks_first: bool) -> Found:
        engine, deltas, found = self._engine, Deltas(), Found()
        opened = {intent.id: rows.facts_of(intent) for intent in batch.intents}
        early = set[str]()
        with engine.transaction():
            if batch.intents:
                engine.insert(rows.REQUEST, [rows.intent_row(intent, opened[intent.id]) for intent in batch.intents])
            if batch.met:
                engine.insert(rows.MET, [rows.intent_row(intent, rows.facts_of(intent)) for intent in batch.met])
            records = batch.records
            if batch.wholes:
                records = [*self._put_wholes(batch.wholes, deltas, asks_first=asks_first), *records]
            if records:
                self._close(records, opened, deltas, asks_first=asks_first)
            if batch.shadows:
                early |= self._put_shadows(batch.shadows, deltas)
            if batch.labels:
                engine.insert(rows.LABEL, [rows.label_row(label) for label in batch.labels])
            if batch.assessments:
                early |= self._put_assessments(batch.assessments, deltas)
            deltas.write(engine)
            found.ratings.extend(map(self._rate, batch.ratings))
            found.signals.extend(map(self._signal, batch.signals))
        self._open.update(opened)
        self._early |= early
        for record in records:
            self._open.pop(record.id, None)
            self._early.discard(record.id)
        return found

    def _put_wholes(self, wholes: Sequence[tuple[Intent, Record]], deltas: Deltas, *, asks_first: bool) -> list[Record]:
        """Write requests with what became of them; returns the records of those that have a row already.

        Raises:
            _Outdated: some have one; nothing may be committed.
        """
        there = set[str]()
        if asks_first:
            there = {name for (name,) in self._engine.among(_THERE, [intent.id for intent, _ in wholes])}
        written, attempts = dict[str, Row](), list[Row]()
        for intent, record in wholes:
            if intent.id in there or intent.id in written:
                continue
            facts = rows.facts_of(intent)
            ended = ended_of(facts, record, cost=record.cost)
            written[intent.id] = rows.whole_row(rows.intent_row(intent, facts), rows.closing_row(record, ended))
            attempts += [rows.attempt_row(intent.id, *placed) for placed in enumerate(record.attempts)]
            deltas.settle(facts, ended)
        if written and self._engine.insert(rows.WHOLE, list(written.values())) != len(written):
            raise _Outdated
        if attempts:
            self._engine.insert(rows.ATTEMPT, attempts)
        return [record for intent, record in wholes if intent.id in there]

    def _close(self, records: Sequence[Record], opened: dict[str, Facts], deltas: Deltas, *, asks_first: bool) -> None:
        """Close what is open of these; of two records for one request the first counts.

        Raises:
            _Outdated: something of it was closed already; nothing may be committed.
        """
        engine = self._engine
        first = {record.id: record for record in reversed(records)}
        facts = dict[str, Facts]()
        for name in () if asks_first else first:
            known = opened.get(name) or self._open.get(name)
            if known is not None:
                facts[name] = known
        early = self._early & facts.keys()
        if len(facts) < len(first):
            read = self._read_open([identifier for identifier in first if identifier not in facts])
            facts |= read
            early |= read.keys()
        closings, attempts, ended = [], list[Row](), dict[str, Ended]()
        for name, each in facts.items():
            record = first[name]
            ended[name] = end = ended_of(each, record, cost=record.cost)
            closings.append(rows.closing_row(record, end))
            attempts += [rows.attempt_row(name, *placed) for placed in enumerate(record.attempts)]
            deltas.settle(each, end)
        if closings and engine.settle(rows.CLOSING, closings) != len(closings):
            raise _Outdated
        if attempts:
            engine.insert(rows.ATTEMPT, attempts)
        if early:
            self._add_early(facts, ended, early, deltas)

    def _read_open(self, ids: Sequence[str]) -> dict[str, Facts]:
        """Return what is known of those that are open."""
        return {name: facts for name, facts, ended in self._read(ids) if ended is None}

    def _read(self, ids: Iterable[str]) -> list[tuple[str, Facts, Ended | None]]:
        """Return what is known of requests, and how those ended that have."""
        found: list[tuple[str, Facts, Ended | None]] = []
        for row in self._engine.among(_FACTS, list(ids)):
            outcome, source, cache, served = row[10:]
            ended = None if outcome is None else Ended(outcome, None, None, cache, source, served, 0)
            found.append((row[0], Facts(*row[1:10]), ended))
        return found

    def _add_early(self, facts: dict[str, Facts], ended: dict[str, Ended], ids: Iterable[str], deltas: Deltas) -> None:
        """Add what was said about requests before they were closed."""
        wanted = list(ids)
        for (identifier, _), attempt in self._late_attempts(wanted).items():
            deltas.learn(facts[identifier], ended[identifier], afterwards_of([attempt]))
        for identifier, signs in self._signs(wanted).items():
            deltas.assess(facts[identifier], ended[identifier], signs)

    def _late_attempts(self, ids: Sequence[str]) -> dict[tuple[str, int], tuple[int | None, str]]:
        return {(row[0], row[1]): (row[2], row[3]) for row in self._engine.among(_LATE_ATTEMPTS, ids)}

    def _signs(self, ids: Sequence[str]) -> dict[str, Signs]:
        return {row[0]: Signs(*row[1:]) for row in self._engine.among(_SIGNS, ids)}

    def _put_shadows(self, shadows: Sequence[Shadow], deltas: Deltas) -> set[str]:
        """Put attempts in the place of those that they end; returns which of their requests are open."""
        latest = {(each.request_id, position): attempt for each in shadows for position, attempt in each.placed()}
        ids = list({identifier for identifier, _ in latest})
        requests = {name: (facts, ended) for name, facts, ended in self._read(ids)}
        before = self._late_attempts(ids)
        put = [rows.attempt_row(*place, attempt) for place, attempt in sorted(latest.items()) if place[0] in requests]
        if put:
            self._engine.insert(rows.AFTERTHOUGHT, put)
        for place, attempt in latest.items():
            facts, ended = requests.get(place[0], (None, None))
            if facts is None or ended is None:
                continue
            was = afterwards_of([before[place]] if place in before else ())
            now = afterwards_of([(attempt.cost, attempt.usage_source)])
            deltas.learn(facts, ended, Afterwards(*(after - earlier for after, earlier in zip(now, was, strict=True))))
        return {name for name, (_, ended) in requests.items() if ended is None}

    def _put_assessments(self, assessments: Sequence[Assessment], deltas: Deltas) -> set[str]:
        """Put assessments in the place of earlier ones; returns which of their requests are open."""
        latest = {each.request_id: each for each in assessments}
        requests = {name: (facts, ended) for name, facts, ended in self._read(latest)}
        before = self._signs(list(requests))
        put = [rows.assessment_row(latest[name]) for name in sorted(requests)]
        if put:
            self._engine.insert(rows.ASSESSMENT, put)
        for name, (facts, ended) in requests.items():
            if ended is not None:
                deltas.assess(facts, ended, rows.signs_of(latest[name]), before.get(name))
        return {name for name, (_, ended) in requests.items() if ended is None}

    def _rate(self, rating: Rating) -> str | None:
        identifier = self._find(rating.request_id, rating.tenant)
        if identifier is not None:
            self._engine.insert(rows.RATING, [rows.rating_row(identifier, rating)])
        return identifier

    def _signal(self, signal: Signal) -> str | None:
        identifier = self._find(signal.request_id, signal.tenant)
        if identifier is not None:
            self._engine.run(rows.SIGNAL, rows.signal_parameters(identifier, signal))
        return identifier

    def _find(self, identifier: str, tenant: str) -> str | None:
        if NUL in identifier:
            return None
        ((row,), *_), _ = self._engine.run(rows.FIND, {"identifier": identifier, "tenant": tenant})
        return None if row is None else str(row)
