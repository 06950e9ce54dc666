"""router/ledger/retention.py: what is old is erased a little at a time, and its sums stay."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count

import pytest

from router.base import Label, Rating, Signal, Tier
from router.ledger.cubes import DAY, Deltas, Facts, interrupted
from router.ledger.engines.base import Engine
from router.ledger.engines.opening import engine_of
from router.ledger.place import LedgerPlace, reading
from router.ledger.retention import CLOCK, DOUBTED, EVERY, NEAR, Eraser, Retention, doubt_in
from router.ledger.rollup import verify
from router.ledger.spending import UNKNOWN, read_spending
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_rollup import MAKER, STARTED, assessment, attempt, intent, record
from tests.router.ledger.test_writer import as_rows

TODAY = STARTED // DAY * DAY
NOW = STARTED + 10.0


async def write(place: LedgerPlace, days: int, *, today: float = TODAY) -> None:
    """Write requests of today and the days before."""
    ledger, later = LedgerWriter(place, loop=asyncio.get_running_loop()), int(today - TODAY) * 1_000
    asked = [
        intent(later - day * 86_400_000 + number, Tier.LARGE, started=today - day * DAY + 60.0 * number, user=f"u{day}")
        for day in range(days)
        for number in range(2)
    ]
    await asyncio.gather(*map(ledger.open, asked))
    for one in asked:
        ledger.settle(record(one, attempt(tier=Tier.LARGE)))
        ledger.shadow(one.id, attempt("shadow", cost=1))
        ledger.assess(assessment(one))
    old = asked[-1].id
    ledger.label(Label(old, "acme", 1.0, b"{}", Tier.LARGE, 1.0, 0.0, 0.2, "linear@1", 0.5, 0.02, "g@1"))
    await ledger.rate(Rating(old, "acme", 1.0, 1.0, "words"))
    await ledger.signal(Signal(old, "acme", 1.0, "thumb", 1.0))
    await ledger.aclose()


class Clocks:
    """A wall clock that may jump, and one that does not."""

    def __init__(self) -> None:
        self.wall, self.ticks = NOW, 0.0


@contextmanager
def erasing(place: LedgerPlace, retention: Retention, clocks: Clocks | None = None) -> Iterator[tuple[Eraser, Engine]]:
    told = clocks or Clocks()
    with closing(engine_of(place)) as engine:
        yield Eraser(engine, retention, clock=lambda: told.wall, ticks=lambda: told.ticks), engine


def counts(place: LedgerPlace, *tables: str) -> list[int]:
    with reading(place) as ledger:
        return [(ledger.one(f"SELECT count(*) AS n FROM {table}") or {})["n"] for table in tables]  # noqa: S608 - ours


async def test_rows_go_and_their_sums_stay(place: LedgerPlace) -> None:
    await write(place, 6)
    spent = read_spending(place, {"acme": TODAY - 5 * DAY})
    with erasing(place, Retention(raw=2.5 * DAY, hours=4 * DAY)) as (eraser, _):
        while eraser.step():
            pass
    assert counts(place, "requests", "attempts", "assessments", "signals", "labels", "ratings") == [6, 12, 6, 0, 1, 1]
    with reading(place) as ledger:
        days = {row["width"]: row["days"] for row in ledger.rows(
            "SELECT width, count(DISTINCT bucket * width / 86400) AS days FROM totals GROUP BY width"
        )}  # fmt: skip
        marks = {
            row["name"]: float(row["value"])
            for row in ledger.rows("SELECT * FROM marks")
            if row["name"] not in ("holder", *CLOCK)
        }
    assert days == {60: 3, 3_600: 5, 21_600: 5, 86_400: 6}
    assert counts(place, "units") == [5]
    assert marks == {
        "raw_from": TODAY - 3 * DAY + DAY,
        "minutes_from": TODAY - 2 * DAY,
        "quarters_from": TODAY - 4 * DAY,
        "hours_from": TODAY - 4 * DAY,
        "units_from": TODAY - 4 * DAY,
    }
    assert verify(place) == []
    assert read_spending(place, {"acme": TODAY - 5 * DAY})["acme"] == {MAKER: 60, UNKNOWN: 60}
    assert sum(spent["acme"].values()) == 120


async def test_what_is_erased_at_a_time_is_little_and_nothing_is_looked_for_again_so_soon(
    place: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.ledger.retention.AT_ONCE", 2)
    await write(place, 4)
    clocks = Clocks()
    with erasing(place, Retention(raw=DAY), clocks) as (eraser, _):
        steps = []
        while erased := eraser.step():
            steps.append(erased)
        assert steps[-2:] == [2, 2]
        assert 0 < eraser.waits <= EVERY
        clocks.ticks = EVERY
        assert (eraser.waits, eraser.step()) == (0.0, 0)


def add_sums(engine: Engine, *minutes: int) -> None:
    """Write what a request adds that began in each of these minutes, without its row."""
    deltas = Deltas()
    for minute in minutes:
        facts = Facts("acme", "mini", "", "", minute, "u", None, stream=False, reserved=0)
        deltas.settle(facts, interrupted(facts))
    with engine.transaction():
        deltas.write(engine)


async def test_what_is_erased_ends_with_its_day_also_where_few_sums_are_left(place: LedgerPlace) -> None:
    await write(place, 1)
    midnight = int(TODAY - 2 * DAY) // 60
    with erasing(place, Retention()) as (eraser, engine):
        add_sums(engine, midnight - 10, midnight - 1, midnight, midnight + 5)
        while eraser.step():
            pass
    with reading(place) as ledger:
        left = [row["bucket"] for row in ledger.rows("SELECT bucket FROM totals WHERE width = 60 ORDER BY bucket")]
    assert left[:2] == [midnight, midnight + 5]


async def test_who_keeps_sums_for_longer_gets_none_back_that_were_erased(place: LedgerPlace) -> None:
    await write(place, 1)
    for days, hours in ((3, DAY), (40, 20 * DAY)):
        with erasing(place, Retention(hours=hours)) as (eraser, engine):
            add_sums(engine, int(TODAY - days * DAY) // 60)
            while eraser.step():
                pass
            found, _ = engine.run("SELECT value FROM marks WHERE name = 'hours_from'", {})
            assert found == [(repr(TODAY - DAY),)]


async def test_a_clock_that_jumps_ahead_erases_nothing(place: LedgerPlace) -> None:
    await write(place, 2)
    for jump in (NEAR, 1_000 * DAY):
        clocks = Clocks()
        with erasing(place, Retention(raw=3 * DAY, hours=3 * DAY), clocks) as (eraser, _):
            clocks.wall += jump
            assert eraser.step() == 0
    assert counts(place, "requests") == [4]


def erase(place: LedgerPlace, clocks: Clocks) -> int:
    """Start, look once, and return how many rows were erased."""
    with erasing(place, Retention(raw=3 * DAY, hours=3 * DAY), clocks) as (eraser, _):
        return sum(iter(eraser.step, 0))


def doubt(place: LedgerPlace) -> str:
    with reading(place) as ledger:
        return doubt_in(ledger)


@pytest.mark.parametrize("was_looked_at", [True, False])
async def test_a_clock_that_is_far_ahead_from_the_start_erases_nothing_whatever_is_asked_by_it(
    place: LedgerPlace, caplog: pytest.LogCaptureFixture, *, was_looked_at: bool
) -> None:
    await write(place, 2)
    clocks = Clocks()
    if was_looked_at:
        assert erase(place, clocks) == 0
    clocks.wall = NOW + 1_000 * DAY
    assert erase(place, clocks) == 0
    await write(place, 1, today=TODAY + 1_000 * DAY)  # requests come by that clock, too
    for _ in range(2):  # a start is no reason to believe it
        clocks.wall += DOUBTED / 3
        assert erase(place, clocks) == 0
    assert caplog.text.count("nothing is erased: the clock says ") == 1
    assert "believed" in doubt(place)
    clocks.wall = NOW + DAY
    assert erase(place, clocks) == 0
    assert doubt(place) == ""
    assert counts(place, "requests") == [6]


async def test_a_gateway_that_was_off_for_long_erases_when_its_clock_has_said_so_for_days(place: LedgerPlace) -> None:
    await write(place, 2)
    clocks = Clocks()
    clocks.wall = NOW + 1_000 * DAY
    assert erase(place, clocks) == 0  # what was doubted first, and set since, is forgotten
    clocks.wall = NOW + 60 * DAY
    with erasing(place, Retention(raw=3 * DAY), clocks) as (eraser, _):
        assert eraser.step() == 0
        clocks.ticks += DOUBTED - EVERY
        clocks.wall += DOUBTED - EVERY
        assert eraser.step() == 0
        assert counts(place, "requests") == [4]
        clocks.ticks += EVERY
        clocks.wall += EVERY
        assert sum(iter(eraser.step, 0)) > 0
    assert counts(place, "requests") == [0]
    assert doubt(place) == ""


async def test_a_week_without_a_gateway_is_no_reason_to_doubt(place: LedgerPlace) -> None:
    await write(place, 2)
    clocks = Clocks()
    assert erase(place, clocks) == 0
    clocks.wall = NOW + NEAR
    assert erase(place, clocks) > 0
    assert counts(place, "requests") == [0]


async def test_a_clock_that_is_set_back_was_ahead_before(place: LedgerPlace) -> None:
    await write(place, 2)
    clocks = Clocks()
    clocks.wall = NOW + NEAR - DAY  # near enough to be believed
    with erasing(place, Retention(raw=5 * DAY), clocks) as (eraser, _):
        clocks.wall = NOW
        assert eraser.step() == 0
    assert counts(place, "requests") == [4]


async def test_whoever_asks_for_it_now_is_believed(place: LedgerPlace) -> None:
    await write(place, 2)
    with closing(engine_of(place)) as engine:
        eraser = Eraser(engine, Retention(raw=DAY), trusts=True, clock=lambda: NOW + 1_000 * DAY)
        assert sum(iter(eraser.step, 0)) > 0
    assert counts(place, "requests") == [0]


async def test_what_is_open_stays_and_a_mark_never_goes_back(place: LedgerPlace) -> None:
    await write(place, 3)
    still_open = intent(-86_400_000 * 40, started=TODAY - 40 * DAY)
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(still_open)
    await as_rows(ledger)
    for raw in (DAY, 20 * DAY):
        with erasing(place, Retention(raw=raw)) as (eraser, engine):
            while eraser.step():
                pass
            assert engine.run("SELECT value FROM marks WHERE name = 'raw_from'", {})[0] == [(repr(TODAY - DAY),)]
    assert counts(place, "requests") == [5]
    await ledger.aclose()


async def test_a_writer_erases_between_its_batches(place: LedgerPlace) -> None:
    await write(place, 3, today=time.time() - 4 * DAY)
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop(), retention=Retention(raw=DAY))
    answered = count(100)
    while counts(place, "assessments") != [0]:
        await ledger.open(intent(next(answered), started=time.time()))
    await ledger.aclose()
    assert counts(place, "requests") == [next(answered) - 100]


async def test_erasing_that_fails_is_said_and_requests_go_on(
    place: LedgerPlace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(engine: Engine, _before: float) -> int:
        raise engine.errors[0]("no more")

    monkeypatch.setattr(Eraser, "_erase_rows", lambda self, before: fails(self._engine, before))
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop(), retention=Retention(raw=DAY))
    for number in range(3):
        await ledger.open(intent(number))
    await ledger.aclose()
    assert caplog.text.count("cannot be erased, it is tried again later: no more") == 1
