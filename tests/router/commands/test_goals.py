"""Tests router/commands/goals.py."""

import json
from collections.abc import Iterator

import pytest
import typer
from rich.table import Table

from router.bench.goals import Goal, at_least, at_most, stated
from router.commands.goals import tell_goals

MET, MISSED = at_least("rows_a_second", 31_234.5, 5_000.0), at_most("lost_records", 2.0, 0.0)


def told(*goals: Goal, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that people see of goals that are all met."""
    tell_goals(goals, {"never": "printed"}, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_json_is_one_object_with_what_stands_beside_the_goals(capsys: pytest.CaptureFixture[str]) -> None:
    def shown() -> Iterator[str]:
        raise AssertionError("made although nobody sees it")
        yield

    tell_goals([MET], {"details": {"near": "火车"}}, as_json=True, shown=shown())
    (line,) = capsys.readouterr().out.splitlines()
    assert "火车" in line
    goal = {"name": "rows_a_second", "value": 31_234.5, "at": "least", "goal": 5_000.0, "met": True}
    assert json.loads(line) == {"goals": [goal], "details": {"near": "火车"}}


def test_people_get_a_line_for_each_goal_and_what_is_shown_below(capsys: pytest.CaptureFixture[str]) -> None:
    below = Table("engine")
    below.add_row("torch")
    with pytest.raises(typer.Exit):
        tell_goals([MET, MISSED, stated("floor", 0.12345)], {}, as_json=False, shown=[below, "status 503: [full]"])
    printed = capsys.readouterr().out
    cells = [line.strip("│").split("│") for line in printed.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in cells] == [
        ["rows_a_second", "31234", "at least 5000", "yes"],
        ["lost_records", "2", "at most 0", "NO"],
        ["floor", "0.1235", "-", "yes"],
        ["torch"],
    ]
    assert "status 503: [full]" in printed  # no markup


def test_a_large_figure_has_no_exponent_and_a_small_one_keeps_its_digits(capsys: pytest.CaptureFixture[str]) -> None:
    values = (1_234_567.8, -20_000.0, 9_876.5, 0.000_061_28)
    lines = told(*(stated(f"figure {value}", value) for value in values), capsys=capsys)
    shown = [line.split("│")[2].strip() for line in lines if line.startswith("│ figure ")]
    assert shown == ["1234568", "-20000", "9876", "6.128e-05"]


def test_a_long_name_is_not_folded_where_nobody_has_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a_figure_whose_name_says_" + "very_" * 7 + "much_about_it"
    assert any(name in line for line in told(at_most(name, 0.001_5, 0.002), capsys=capsys))


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("goals", "code"), [((MET, MISSED), 1), ((MISSED, MET), 1), ((MET, stated("floor", 0.0)), 0)])
def test_one_missed_goal_is_a_failure(goals: tuple[Goal, ...], code: int, *, as_json: bool) -> None:
    if not code:
        tell_goals(goals, {}, as_json=as_json)
        return
    with pytest.raises(typer.Exit) as ended:
        tell_goals(goals, {}, as_json=as_json)
    assert ended.value.exit_code == code
