"""Tests `router/commands/evaluate.py`."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from classifier.base import ClassifierError, Contribution, Prompt, Score
from classifier.measures import FIGURES
from classifier.options import ClassifierOptions
from router.commands.program import run

FEW = ["--resamples", "20"]


def rows(count: int = 120, *, seed: int = 1) -> list[dict[str, Any]]:
    """Return labelled rows; `mine` is a score that tells a little."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        weak = float(rng.random() < 0.5)
        made.append(
            {
                "prompt": f"{'compare and explain ' if not weak else ''}question {rng.randrange(1000)}",
                "strong_score": float(rng.random() < 0.9),
                "weak_score": weak,
                "group": f"g{number // 2}",
                "source": ("shop", "school")[number % 2],
                "level": number % 3,
                "mine": 0.6 * rng.random() + 0.4 * (1 - weak),
            }
        )
    return made


def written(path: Path, made: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return written(tmp_path / "pairs.jsonl", rows())


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the JSON object of a run that went well."""
    assert run(["eval", *FEW, *arguments, "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_shipped_classifier_is_measured_beside_its_baselines(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--data", data)
    assert (found["rows"], found["groups"], found["resamples"], found["seed"]) == (120, 60, 20, 0)
    assert found["weights"] == "general"
    assert found["score_column"] is None
    assert found["by"] == {}
    assert set(found["all"]) == {"router", "random", "length", "constant", "oracle", "all_large", "all_mini"}
    assert set(found["all"]["router"]) == {*FIGURES, "saved_at_95", "cost_saved_at_95"}
    for name in ("router", "random", "length", "oracle"):
        apgr = found["all"][name]["apgr"]
        assert apgr["low"] <= apgr["value"] <= apgr["high"]
    assert found["all"]["constant"]["apgr"]["value"] == pytest.approx(0.5)
    assert found["all"]["random"]["apgr"]["low"] <= 0.5 <= found["all"]["random"]["apgr"]["high"]


def test_a_group_that_was_fitted_on_is_refused(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(data).read_text(encoding="utf-8").splitlines()
    fitted, held_back = tmp_path / "fitted.jsonl", tmp_path / "held_back.jsonl"
    fitted.write_text("\n".join(lines[:60]), encoding="utf-8")
    held_back.write_text("\n".join(lines[59:]), encoding="utf-8")
    assert run(["eval", "--data", str(held_back), "--fitted-on", str(fitted)]) == 1
    assert "split by group, never by row" in capsys.readouterr().err


def test_a_column_can_be_judged_in_place_of_the_classifier(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--data", data, "--score-column", "mine")
    assert (found["weights"], found["score_column"]) == (None, "mine")
    assert found["all"]["router"]["auroc_weak_fails"]["value"] > 0.75


def test_slices_have_figures_of_their_own(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--data", data, "--by", "source", "--score-column", "mine")
    assert set(found["by"]) == {"shop", "school"}
    assert (found["by"]["shop"]["rows"], found["by"]["shop"]["groups"]) == (60, 60)
    assert found["by"]["shop"]["router"]["apgr"] != found["by"]["school"]["router"]["apgr"]


def test_any_column_makes_slices(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--data", data, "--by", "level", "--score-column", "mine")
    assert set(found["by"]) == {"0", "1", "2"}


def test_without_resamples_there_are_values_alone(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    apgr = said(capsys, "--data", data, "--score-column", "mine", "--resamples", "0")["all"]["router"]["apgr"]
    assert apgr["value"] is not None
    assert (apgr["low"], apgr["reason"]) == (None, "no resamples were asked for")


def test_a_slice_of_one_class_and_of_few_groups_has_nulls_and_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [*rows(), *({**one, "source": "hard", "weak_score": 0.0} for one in rows(4))]
    data = written(tmp_path / "pairs.jsonl", made)
    arguments = ["--data", data, "--by", "source", "--score-column", "mine"]
    hard = said(capsys, *arguments)["by"]["hard"]["router"]
    assert hard["auroc_weak_fails"]["value"] is None
    assert hard["auroc_weak_fails"]["reason"] == "one class only: Mini fails on every row"
    assert (hard["brier"]["low"], hard["brier"]["reason"]) == (None, "too few groups: 2; an interval needs 5")
    assert run(["eval", *arguments, *FEW]) == 0
    assert "hard: auroc_weak_fails: one class only: Mini fails on every row" in capsys.readouterr().out


def test_several_files_are_measured_together(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = written(tmp_path / "more.jsonl", [{**one, "group": f"x{one['group']}"} for one in rows(40, seed=2)])
    found = said(capsys, "--data", data, "--data", more, "--score-column", "mine")
    assert (found["rows"], found["groups"]) == (160, 80)


def test_equal_seeds_print_the_same_and_others_do_not(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (
        said(capsys, "--data", data, "--score-column", "mine", "--seed", seed) for seed in ("3", "3", "4")
    )
    assert first == again
    assert first["all"]["router"] != other["all"]["router"]


def test_the_price_of_large_counts_in_the_cost_saved(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--data", data, "--score-column", "mine", "--large-cost-ratio", "4")["all"]["router"]
    assert found["cost_saved_at_95"]["value"] == pytest.approx(found["saved_at_95"]["value"] * 0.75)


def test_people_get_tables_and_a_picture(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "curves.svg"
    assert run(["eval", "--data", data, "--by", "source", "--score-column", "mine", "--svg", str(picture), *FEW]) == 0
    out = capsys.readouterr().out
    assert "120 rows of 60 groups" in out
    assert "all Large 0." in out
    for word in ("apgr_11", "cost_saved_at_95", "oracle", "95 % interval", "shop", "school"):
        assert word in out
    assert picture.read_text(encoding="utf-8").count("<clipPath") == 3


def faults(good: dict[str, Any]) -> dict[str, tuple[list[dict[str, Any]], list[str], str]]:
    """Return rows, more arguments and words of the error."""
    ten = [{**good, "group": at} for at in range(10)]
    return {
        "no group": ([good, {**good, "group": None}], [], "pairs.jsonl:2:group: is missing"),
        "a score that is NaN": ([{**good, "weak_score": float("nan")}], [], "pairs.jsonl:1:weak_score: is nan"),
        "no score column": ([good], ["--score-column", "mine"], "pairs.jsonl:1:mine: is missing"),
        "one class": (ten, [], "one class only, none of the 10 rows has a weak_score below 0.5 "),
        "the other class": (
            [{**one, "weak_score": 0} for one in ten],
            [],
            "none of the 10 rows has a weak_score of 0.5",
        ),
        "no such column": (
            [*ten, {**good, "weak_score": 0}],
            ["--by", "kind"],
            "no row has a value in the column kind",
        ),
        "no file": ([], ["--data", "absent.jsonl"], "pairs.jsonl: is empty"),
    }


GOOD = {"prompt": "q", "strong_score": 1, "weak_score": 1, "group": "g"}


@pytest.mark.parametrize("name", faults(GOOD))
def test_data_that_cannot_be_used_are_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, arguments, words = faults(GOOD)[name]
    assert run(["eval", "--data", written(tmp_path / "pairs.jsonl", made), *arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_column_of_too_many_values_makes_no_slices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [{**one, "source": str(at)} for at, one in enumerate(rows(240))]
    assert run(["eval", "--data", written(tmp_path / "p.jsonl", made), "--by", "source"]) == 1
    assert "source has 240 values (--by): name a column with at most 200 values" in capsys.readouterr().err


def test_a_price_without_end_and_two_scores_at_once_are_slips(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--data", data, "--large-cost-ratio", "inf"]) == 2
    assert "inf is no price" in capsys.readouterr().err
    assert run(["eval", "--data", data, "--score-column", "mine", "--weights", "w.json"]) == 2
    assert "give it or --weights, not both" in capsys.readouterr().err


def test_weights_and_places_that_cannot_be_used_are_named(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.json").write_text("{}")
    assert run(["eval", "--data", data, "--weights", str(tmp_path / "w.json"), *FEW]) == 1
    assert "w.json: weights are damaged" in capsys.readouterr().err
    assert run(["eval", "--data", data, "--weights", str(tmp_path / "absent.json"), *FEW]) == 1
    assert "absent.json" in capsys.readouterr().err
    assert run(["eval", "--data", data, "--score-column", "mine", "--svg", "/proc/none/c.svg", *FEW]) == 1
    assert "(/proc/none/c.svg)" in capsys.readouterr().err


class Refusing:
    """A classifier that scores no prompt with a 7 in it."""

    threshold = 0.5

    def score(self, prompt: Prompt) -> Score:
        if "7" in prompt.turns[0].text:
            raise ClassifierError("it holds a 7")
        return Score(0.5, "refusing@1")

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        return ()


def test_a_prompt_that_cannot_be_scored_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ClassifierOptions, "build", lambda _: Refusing())
    made = [{**GOOD, "weak_score": at % 2, "prompt": f"q {at}"} for at in range(10)]
    assert run(["eval", "--data", written(tmp_path / "pairs.jsonl", made)]) == 1
    assert f"cannot be scored: it holds a 7 ({tmp_path / 'pairs.jsonl'}:8)" in capsys.readouterr().err


def test_an_error_is_one_json_object_where_json_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "--data", str(tmp_path / "absent.jsonl"), "--json"]) == 1
    assert "cannot be read" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_rows_that_the_weights_were_fitted_on_are_told(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(tmp_path / "own.json")
    assert run(["train", "--data", data, "--out", weights]) == 0
    assert "flatters" not in capsys.readouterr().err
    assert run(["eval", "--data", data, "--weights", weights]) == 0
    assert "fitted on the groups of 120 of the 120 rows" in capsys.readouterr().err
    assert run(["eval", "--data", data]) == 0
    assert "flatters" not in capsys.readouterr().err
