"""Tests router/alerts/states.py, router/alerts/kinds.py and router/alerts/memory.py."""

import logging
from pathlib import Path

import pytest

from router.alerts.base import Alert, Reading
from router.alerts.kinds import KINDS
from router.alerts.memory import Memory
from router.alerts.states import MOST, States
from router.statistics.drift import Reference


def reading(*, is_bad: bool | None, kind: str = "overhead_p99", tenant: str = "") -> Reading:
    return Reading(kind, (("tenant", tenant),) if tenant else (), is_bad, f"bad: {is_bad}")


def take(states: States, now: float, looks: str) -> list[Alert]:
    """Take looks one after another: "-" is a bad one, "+" a good one, "?" says neither."""
    said = {"-": True, "+": False, "?": None}
    return [alert for look in looks for alert in states.take([reading(is_bad=said[look])], now)]


def test_an_alert_fires_once_after_enough_bad_looks_and_ends_once_after_enough_good_ones() -> None:
    states = States("runbook.md")
    assert take(states, 1.0, "-") == []
    (fired,) = take(states, 2.0, "--")
    assert (fired.kind, fired.since, fired.ended) == ("overhead_p99", 2.0, None)
    assert fired.runbook == "runbook.md#overhead-p99"
    assert states.firing() == (fired,)
    assert take(states, 3.0, "+-+") == []
    (ended,) = take(states, 4.0, "+")
    assert (ended.since, ended.ended, ended.fingerprint) == (2.0, 4.0, fired.fingerprint)
    assert states.firing() == ()


def test_a_look_that_says_neither_changes_nothing() -> None:
    states = States("r")
    assert len(take(states, 1.0, "-?-")) == 1
    assert take(states, 1.0, "+?") == []
    assert len(take(states, 1.0, "+")) == 1


def test_a_good_look_in_between_begins_anew() -> None:
    assert take(States("r"), 1.0, "-+-") == []


def test_things_are_told_apart_and_are_only_so_many() -> None:
    states = States("r")
    many = [reading(is_bad=True, kind="budget_spent", tenant=f"t{number}") for number in range(MOST + 5)]
    assert len(states.take(many, 1.0)) == MOST
    assert len({alert.fingerprint for alert in states.firing()}) == MOST


def test_every_alert_says_what_to_do_and_how_often_it_is_wrong() -> None:
    for name, kind in KINDS.items():
        assert name == kind.name
        assert kind.means
        assert kind.do
        assert kind.false_alarms
        assert kind.fires_after >= 1 <= kind.clears_after


# --- memory ----------------------------------------------------------------------------------------


def test_what_was_learnt_is_there_after_a_restart(tmp_path: Path) -> None:
    path, reference = tmp_path / "alerts.json", Reference((0.5,), (3, 4))
    memory = Memory(path)
    assert not memory.has_changed
    memory.keep_reference("s@1 tenant=shop", reference)
    memory.keep_accuracy("g@1", 0.9)
    memory.keep_hours([1, 2])
    assert memory.has_changed
    memory.save(memory.written())
    assert not memory.has_changed
    again = Memory(path)
    assert again.reference("s@1 tenant=shop") == reference
    assert again.accuracy("g@1") == 0.9
    assert list(again.hours) == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["alerts.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"references":{},"accuracy":{},"hours":[],"format":"x"}',
        b"\xff",
        b'{"references":{"a":{}}}',
        b'{"references":{},"accuracy":{},"hours":[1%s]}' % (b"0" * 400),
        b'{"references":{},"accuracy":{},"hours":[-1]}',
        b'{"references":{},"accuracy":{"g":5.0},"hours":[]}',
        b'{"references":{"a":{"edges":[],"counts":[1%s]}},"accuracy":{},"hours":[]}' % (b"0" * 400),
    ],
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    assert list(Memory(path).hours) == []
    assert "begun anew" in caplog.text


def test_a_file_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(tmp_path / "nowhere" / "alerts.json")
    with caplog.at_level(logging.WARNING):
        memory.save(memory.written())
    assert "is not kept" in caplog.text
