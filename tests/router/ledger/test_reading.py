"""Tests router/ledger/reading.py and router/ledger/views.py on a ledger written by hand."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Outcome
from router.insight.overview import SPANS
from router.ledger.assessed import NOTHING_ASSESSED
from router.ledger.lookup import find_request
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.reading import CallerCost, costs_by_caller_id, iter_requests, read_window
from router.ledger.views import Reading, Source, Spread
from tests.router.dashboard.hand_written import MILLION, NOW, add_up, ask, ask_many, create, write_an_hour
from tests.router.ledger.copying import copied

HOUR = SPANS["1h"].window(NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger with space?.db"
    write_an_hour(path)
    return path


@pytest.fixture
def reading(ledger: Path) -> Reading:
    return read_window(ledger, HOUR, latest=3)


def test_totals_hold_each_request_of_the_window_once(reading: Reading) -> None:
    assert sum(total.requests for total in reading.totals) == 8
    assert {total.outcome: 0 for total in reading.totals}.keys() == {
        Outcome.ANSWERED,
        Outcome.KEPT,
        Outcome.FAILED,
        None,
    }
    assert sum(total.cost for total in reading.totals) == 34 * MILLION


def test_a_request_counts_for_the_tier_that_answered_and_not_for_the_one_decided_on(reading: Reading) -> None:
    answered = [total for total in reading.totals if total.outcome is Outcome.ANSWERED]
    assert sum(total.requests for total in answered if total.source is Source.MINI) == 4
    assert sum(total.requests for total in answered if total.source is Source.LARGE) == 1
    assert sum(total.moved for total in reading.totals) == 2


def test_buckets_lie_where_their_requests_began(reading: Reading) -> None:
    assert [total.bucket for total in reading.totals if total.source is Source.CACHE] == [56]
    assert {total.bucket for total in reading.totals if total.outcome is None} == {59}


def test_the_time_before_is_told_apart_and_ends_as_far_into_its_hour(reading: Reading, ledger: Path) -> None:
    assert [(total.bucket, total.requests, total.cost) for total in reading.earlier or ()] == [(0, 1, 5 * MILLION)]
    ask(ledger, "k", started=NOW - 3_599, first_byte=0.1)  # in neither: it came later in that hour than now is in this
    again = read_window(ledger, HOUR, latest=3)
    assert again.earlier == reading.earlier
    assert again.totals == reading.totals


def close(seconds: float) -> float:
    """Return what equals a time that was told by the middle of its bin, 1 % wide."""
    return pytest.approx(seconds, rel=0.005)  # type: ignore[return-value] # pytest does not type it


def test_percentiles_are_nearest_ranks_of_streamed_answers(reading: Reading) -> None:
    overall = {spread.source: spread for spread in reading.spreads if spread.bucket is None}
    assert overall[None] == Spread(None, None, answers=5, p50=close(0.2), p95=close(0.5))
    assert overall[Source.MINI] == Spread(None, Source.MINI, answers=3, p50=close(0.2), p95=close(0.3))
    assert overall[Source.CACHE] == Spread(None, Source.CACHE, answers=1, p50=close(0.01), p95=close(0.01))
    assert reading.earlier_spread == Spread(None, None, answers=1, p50=close(0.4), p95=close(0.4))


def test_ranks_agree_with_a_sorted_list(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    create(path)
    times = [index / 100 for index in range(1, 42)]
    ask_many(path, ({"id": f"r{i}", "started": NOW - 10, "first_byte": seconds} for i, seconds in enumerate(times)))
    spread = next(each for each in read_window(path, HOUR, latest=1).spreads if each.bucket is None)
    assert (spread.answers, spread.p50, spread.p95) == (41, close(times[20]), close(times[38]))  # ceil(20.5, 38.95)


@pytest.mark.parametrize("name", list(SPANS))
def test_every_span_shows_each_request_once_and_its_cost_to_the_nano_usd(ledger: Path, name: str) -> None:
    window = SPANS[name].window(NOW)
    reading = read_window(ledger, window, latest=1)
    rows = [row for row in iter_requests(ledger) if window.start <= row["started"]]
    assert sum(total.requests for total in reading.totals) == len(rows)
    assert sum(total.cost for total in reading.totals) == sum(row["cost"] or 0 for row in rows)
    by_bucket = {int((row["started"] - window.start) // window.width) for row in rows}
    assert {total.bucket for total in reading.totals} == by_bucket


def test_sums_are_shown_for_as_long_as_they_are_kept_and_rows_need_not_be(ledger: Path) -> None:
    week, before = SPANS["7d"].window(NOW), read_window(ledger, SPANS["7d"].window(NOW), latest=1)
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("DELETE FROM requests")
        connection.execute("DELETE FROM attempts")
        connection.execute("DELETE FROM totals WHERE width = 60")
    after = read_window(ledger, week, latest=1)
    settled = tuple(total for total in before.totals if total.outcome is not None)
    assert (after.totals, after.spreads) == (settled, before.spreads)
    assert after.begun == NOW // 86_400 * 86_400  # the day is what is left of it


def test_what_is_open_since_before_the_window_is_no_part_of_it(ledger: Path) -> None:
    ask(ledger, "old", started=NOW - 8_000, outcome=None, status=None, duration=None)
    assert [total.requests for total in read_window(ledger, HOUR, latest=1).totals if total.outcome is None] == [1]


def test_what_has_been_erased_is_neither_shown_as_nothing_nor_compared_with(ledger: Path) -> None:
    def mark(moment: float) -> None:
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO marks VALUES ('hours_from', ?)", (repr(moment),))

    day = SPANS["24h"].window(NOW)
    mark(day.start)
    reading = read_window(ledger, day, latest=1)
    assert sum(total.requests for total in reading.totals) == 10
    assert (reading.earlier, reading.earlier_spread) == (None, None)
    assert read_window(ledger, HOUR, latest=1).earlier is not None  # of minutes
    mark(day.start + 3_600)
    with pytest.raises(LedgerUnreadable, match="some of this span has been erased; choose another span"):
        read_window(ledger, day, latest=1)


def test_vectors_are_no_part_of_routing(ledger: Path) -> None:
    ask(ledger, "v", tier="vectors", cost=5, baseline=5)
    reading = read_window(ledger, HOUR, latest=1)
    assert sum(total.requests for total in reading.totals) == 8
    assert reading.latest[0].id == "h"


def test_costs_are_told_by_the_model_that_answered(reading: Reading) -> None:
    assert reading.costs == {"some-model": 2 * MILLION}  # of a and e, which tell an attempt


def test_the_latest_come_newest_first_with_who_answered(reading: Reading) -> None:
    assert [(line.id, line.outcome, line.source) for line in reading.latest] == [
        ("h", None, Source.MINI),
        ("g", Outcome.ANSWERED, Source.MINI),
        ("f", Outcome.FAILED, Source.LARGE),
    ]
    assert [line.stream for line in reading.latest] == [True, False, True]
    assert reading.latest[2].moved is True


def test_an_export_has_every_column_and_the_attempts(ledger: Path) -> None:
    rows = {row["id"]: row for row in iter_requests(ledger)}
    assert list(rows) == list("abcdefghij")
    with closing(sqlite3.connect(ledger)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(requests)")]
    assert list(rows["a"]) == [*columns, "attempts"]
    assert type(rows["a"]["cost"]) is int
    assert [(each["position"], each["tier"], each["error"]) for each in rows["e"]["attempts"]] == [
        (0, "large", "Overloaded"),
        (1, "mini", ""),
    ]
    assert rows["h"]["outcome"] is None
    assert rows["h"]["attempts"] == []


def test_an_export_goes_on_past_its_first_page(ledger: Path) -> None:
    ask_many(ledger, ({"id": f"z{index:05}"} for index in range(1_200)))
    ids = [row["id"] for row in iter_requests(ledger)]
    assert len(ids) == 1_210
    assert ids == sorted(set(ids))


def test_costs_of_one_caller_id_are_summed_and_unknown_where_one_is(ledger: Path) -> None:
    assert costs_by_caller_id(ledger) == {"mine": CallerCost(requests=2, cost=None, baseline=None)}
    ask(ledger, "k", caller_id="yours", cost=3, baseline=4)
    ask(ledger, "l", caller_id="yours", cost=5, baseline=6)
    assert costs_by_caller_id(ledger)["yours"] == CallerCost(requests=2, cost=8, baseline=10)


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    create(tmp_path / "ledger.db")
    reading = read_window(tmp_path / "ledger.db", HOUR, latest=3)
    assert reading == Reading(None, (), (), (), None, (), costs={}, assessed=NOTHING_ASSESSED)
    assert list(iter_requests(tmp_path / "ledger.db")) == []


def test_a_missing_ledger_is_neither_made_nor_named(tmp_path: Path) -> None:
    path = tmp_path / "secret-place.db"
    with pytest.raises(LedgerUnreadable) as caught:
        read_window(path, HOUR, latest=3)
    assert "secret-place" not in str(caught.value)
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(LedgerUnreadable, match="not a database"):
        list(iter_requests(path))
    with pytest.raises(LedgerUnreadable, match="not a database"):
        costs_by_caller_id(path)


def test_a_reading_is_given_up_in_time(ledger: Path) -> None:
    keys = "width, bucket, tenant, source, decided, outcome, experiment, arm, cache, model"
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.executemany(
            f"INSERT INTO totals ({keys}) VALUES (60, ?, ?, 'mini', 'mini', 'answered', '', '', '', '')",  # noqa: S608 - names of ours
            ((NOW // 60, f"tenant {number}") for number in range(20_000)),
        )
    with pytest.raises(LedgerUnreadable, match=r"longer than 0\.001 s; choose a shorter span"):
        read_window(ledger, HOUR, latest=3, timeout=0.001)


def test_reading_while_the_writer_writes_sees_what_was_committed(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE totals SET cost = 0")
        assert sum(total.cost for total in read_window(ledger, HOUR, latest=1).totals) == 34 * MILLION
        writer.execute("COMMIT")
    assert sum(total.cost for total in read_window(ledger, HOUR, latest=1).totals) == 0


def test_a_shadow_call_answers_nobody_and_its_cost_is_told_apart(ledger: Path) -> None:
    before = read_window(ledger, HOUR, latest=1).totals
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.executemany(
            "INSERT INTO attempts (request_id, position, kind, tier, model, replica, cost, price_version, error)"
            " VALUES (?, ?, ?, 'large', 'm', 'h:1', ?, 'p1', '')",
            [("a", 1_000, "shadow", 7), ("b", 1_000, "shadow", None), ("c", 1, "judge", 1)],
        )
    add_up(ledger)
    after = read_window(ledger, HOUR, latest=1).totals
    assert [(total.source, total.cost, total.priced_cost) for total in after] == [
        (total.source, total.cost, total.priced_cost) for total in before
    ]
    assert sum(total.learning for total in before) == 0
    assert sum(total.learning for total in after) == 7


def test_what_verification_said_is_read(ledger: Path) -> None:
    ask(ledger, "z", started=NOW, verify=0.5, p_wrong=0.25)
    line = read_window(ledger, HOUR, latest=1).latest[0]
    assert (line.verify, line.p_wrong) == (0.5, 0.25)
    assert list(iter_requests(ledger))[-1]["p_wrong"] == 0.25


def test_both_engines_show_the_same(ledger: Path, place: LedgerPlace) -> None:
    where = copied(ledger, place)
    for name in SPANS:
        window = SPANS[name].window(NOW)
        assert read_window(where, window, latest=20) == read_window(ledger, window, latest=20)
    assert list(iter_requests(where)) == list(iter_requests(ledger))
    assert costs_by_caller_id(where) == costs_by_caller_id(ledger)
    assert find_request(where, "mine", "acme") == find_request(ledger, "mine", "acme")
    assert find_request(where, "e", "acme") == find_request(ledger, "e", "acme")
    assert find_request(where, "e", "rival") is None


def test_since_and_until_bound_an_export(ledger: Path) -> None:
    assert [row["id"] for row in iter_requests(ledger, since=NOW - 300, until=NOW - 90)] == ["c", "d", "e"]
