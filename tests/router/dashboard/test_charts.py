"""Tests router/dashboard/charts.py."""

import itertools

import pytest

from router.dashboard.charts import TimeAxis, answer_chart, latency_chart, spark_chart, spend_chart

NANO = 1_000_000_000
AXIS = TimeAxis(start=0, width=3_600, buckets=5, tick=7_200)


def test_spend_is_stacked_up_to_its_sum() -> None:
    chart = spend_chart(AXIS, large=[NANO] * 5, mini=[NANO] * 5, baseline=[4 * NANO] * 5, label="spend")
    heights = {area.kind: float(area.path.split("C")[0].split(" ")[1]) for area in chart.areas}
    assert heights == {"saved": 0, "mini": 50, "large": 75}  # per cent from above, of $4
    assert [tick.text for tick in chart.y_ticks] == ["$0", "$1", "$2", "$3", "$4"]
    assert chart.hints[0].text == "Thu 1 Jan, 00:00 UTC: $2.00 spent, all-Large $4.00"


@pytest.mark.parametrize("highest", [0, 1, 7, 30_000, 999_999, NANO // 3, 123 * NANO])
def test_marks_reach_the_highest_value_in_a_few_steps(highest: int) -> None:
    chart = spend_chart(AXIS, large=[0] * 5, mini=[0] * 5, baseline=[highest] * 5, label="spend")
    assert 2 <= len(chart.y_ticks) <= 6
    assert len({tick.text for tick in chart.y_ticks}) == len(chart.y_ticks)
    assert float(chart.lines[0].path.split("C")[0].split(" ")[1]) >= -1e-9


def test_bars_stand_on_each_other_and_empty_ones_are_not_drawn() -> None:
    chart = answer_chart(AXIS, large=[1, 0, 0, 0, 0], mini=[2, 0, 0, 0, 0], cache=[1, 0, 0, 0, 4], label="answers")
    assert [(bar.kind, bar.y, bar.height) for bar in chart.bars] == [
        ("large", 75, 25),
        ("mini", 25, 50),
        ("cache", 0, 25),
        ("cache", 0, 100),
    ]
    assert [tick.text for tick in chart.x_ticks] == ["00:00", "02:00", "04:00"]


def test_latency_is_logarithmic_and_broken_where_nothing_was_streamed() -> None:
    chart = latency_chart(
        AXIS, {"large": [1.0, 1.0, None, 1.0, None], "cache": [0.01] * 5, "mini": [None] * 5}, label="ttft"
    )
    assert [line.kind for line in chart.lines] == ["large", "large", "cache"]
    assert [tick.text for tick in chart.y_ticks] == ["10 ms", "30 ms", "0.1 s", "0.3 s", "1 s", "3 s"]
    assert [(name.kind, name.text) for name in chart.names] == [("large", "Large"), ("cache", "Cache")]
    assert ("large", 75.0) in [(dot.kind, dot.x) for dot in chart.dots]


def test_names_of_lines_that_meet_do_not_lie_on_each_other() -> None:
    chart = latency_chart(AXIS, {"large": [0.2] * 5, "mini": [0.2] * 5, "cache": [0.2] * 5}, label="ttft")
    heights = [name.y for name in chart.names]
    assert all(below - above >= 9 for above, below in itertools.pairwise(heights))


def test_charts_of_nothing_are_empty() -> None:
    assert latency_chart(AXIS, {"large": [None] * 5}, label="ttft").lines == ()
    assert spark_chart([None, None], label="spark").dots == ()
    assert spark_chart([0, 0], label="spark").lines[0].path == "M0 96C33.33 96 66.67 96 100 96"
