"""Tests router/bench/numbers/dashboard.py on a few requests; `./tandem bench numbers` takes a million."""

from pathlib import Path

from router.bench.numbers import dashboard
from router.bench.numbers.dashboard import fill
from router.insight.overview import SPANS
from router.ledger.holding import hold
from router.ledger.place import SqlitePlace
from router.ledger.reading import iter_requests, read_window

NOW = 1_795_178_096.0


def test_what_it_fills_is_a_ledger_whose_sums_are_those_of_its_rows(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "l.db")
    hold(place).close()
    assert fill(place, requests=2_000, seed=3) > 2_000
    rows = [row for row in iter_requests(place) if row["started"] >= SPANS["30d"].window(NOW).start]
    reading = read_window(place, SPANS["30d"].window(NOW), latest=8)
    assert len(rows) > 1_900
    assert sum(total.requests for total in reading.totals) == len(rows)
    assert sum(total.cost for total in reading.totals) == sum(row["cost"] for row in rows)
    assert reading.assessed.replies > 90
    hour = read_window(place, SPANS["1h"].window(NOW), latest=8)
    assert sum(total.requests for total in hour.totals) == sum(
        row["started"] >= SPANS["1h"].window(NOW).start for row in rows
    )


def test_each_span_has_a_goal(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "l.db")
    hold(place).close()
    goals = list(dashboard._goals("sqlite", place, requests=200, seed=1))
    assert [goal.name for goal in goals if goal.at == "most"] == [f"dashboard_sqlite_{name}_seconds" for name in SPANS]
    assert {goal.goal for goal in goals if goal.at == "most"} == {0.05}
