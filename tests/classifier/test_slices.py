"""Tests classifier/slices.py."""

import numpy as np
import pytest

from classifier.measures import Outcomes
from classifier.slices import Judged, Rows, judge


@pytest.fixture
def rows() -> Rows:
    """Return 60 rows of three sources, of which one has Mini right everywhere and one no name."""
    weak = np.array([0.0, 1.0] * 20 + [1.0] * 20)
    strong = np.array([1.0] * 60)
    scores = np.linspace(1, 0, 60)
    sources = ("odd", "") * 20 + ("right",) * 20
    return Rows("all", Outcomes.of(strong, weak, [f"g{at // 2}" for at in range(60)]), scores, 9 * scores, sources)


def judged(rows: Rows) -> Judged:
    return judge(rows, resamples=20, seed=0, large_cost_ratio=10.0)


def test_each_source_has_its_rows(rows: Rows) -> None:
    slices = rows.slices()
    assert [one.name for one in slices] == ["", "odd", "right"]
    assert [len(one.scores) for one in slices] == [20, 20, 20]
    assert [one.outcomes.group_count for one in slices] == [20, 20, 10]
    assert slices[1].outcomes.weak.tolist() == [0.0] * 20
    assert slices[1].scores.tolist() == rows.scores[:40:2].tolist()
    assert slices[1].lengths.tolist() == rows.lengths[:40:2].tolist()
    assert set(slices[1].sources) == {"odd"}


def test_the_router_stands_beside_what_needs_no_classifier(rows: Rows) -> None:
    assert set(rows.all_scores()) == {"router", "length", "constant", "oracle"}
    one = judged(rows)
    assert one.counts() == {"rows": 60, "groups": 30}
    said = one.as_json()
    assert set(said) == {"router", "length", "constant", "oracle", "random", "all_large", "all_mini"}
    assert set(said["router"]["apgr"]) == {"value", "low", "high"}
    assert said["random"]["apgr"]["expected"] == 0.5
    assert one.reasons() == []


def test_what_is_missing_of_a_slice_is_null_with_its_reason(rows: Rows) -> None:
    one = judged(rows.slices()[2])
    said = one.as_json()["router"]
    assert said["apgr"]["value"] is None
    assert "no gap to recover" in said["apgr"]["reason"]
    assert said["brier"]["value"] is not None
    reasons = one.reasons()
    assert len(reasons) == 3
    assert reasons[0].startswith(
        "right: apgr, apgr_11, cpt50, cpt80, cpt95, saved_at_95, cost_saved_at_95: mean strong"
    )


def test_the_picture_shows_the_lines_that_there_are(rows: Rows) -> None:
    panel = judged(rows).panel()
    assert panel.title == "all"
    assert panel.note.startswith("60 rows; APGR 0.")
    assert set(panel.lines) == {"router", "oracle", "length", "random"}
    assert [end.tolist() for end in panel.lines["random"]] == [[0.0, 1.0], [0.0, 1.0]]
    nameless, _, right = (judged(one).panel() for one in rows.slices())
    assert nameless.title == "(no value)"
    assert right.note == "20 rows; no gap to recover"
    assert right.lines == {}
