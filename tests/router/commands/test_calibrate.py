"""Tests router/commands/calibrate.py."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from classifier.calibrating.calibrated import load
from router.commands.program import run


def rows(count: int, *, seed: int = 0) -> list[dict[str, object]]:
    """Return labelled rows whose scores are too high; Mini fails on 3 % of the simple, 35 % of the complex quarter."""
    chance, made = random.Random(seed), list[dict[str, object]]()
    for row in range(count):
        hard = chance.random() < 0.25
        fails = chance.random() < (0.35 if hard else 0.03)
        made.append(
            {
                "prompt": f"add {row} and compare the totals" if hard else f"where is order {row}",
                "score": 1 / (1 + math.exp(-chance.gauss(1.8 * hard, 1.0))),
                "strong_score": 1.0,
                "weak_score": 0.0 if fails else 1.0,
                "group": f"g{row}",
                "tenant": "shop" if row % 2 else "desk",
            }
        )
    return made


def write(path: Path, made: list[dict[str, object]]) -> str:
    path.write_text("\n".join(map(json.dumps, made)))
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write(tmp_path / "pairs.jsonl", rows(1_500))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return what `tandem calibrate --json` says."""
    assert run(["calibrate", "--json", *arguments]) == code
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_promise_is_made_measured_and_written(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "calibration.json"
    found = said(capsys, "--data", data, "--score-column", "score", "--loss", "0.03", "--out", str(out))
    assert (found["certified"], found["loss"], found["confidence"], found["needed"]) == (True, 0.03, 0.9, 0)
    assert (found["pairs"], found["rows"], found["reason"]) == (1_500, 1_500, None)
    assert found["risk"] < found["bound"] <= 0.03
    assert 0.3 < found["share_mini"] < 0.9
    assert 0.0 < found["threshold"] < 1.0
    assert found["ece_before"] > 0.2
    assert found["ece_after"] < 0.04
    assert [level["loss"] for level in found["levels"]] == [0.005, 0.01, 0.02, 0.03, 0.05, 0.1]
    held = load(out)
    assert [level.loss for level in held.levels] == [level["loss"] for level in found["levels"] if level["certified"]]
    (wanted,) = (level for level in held.levels if level.loss == 0.03)
    assert held.threshold(wanted) == found["threshold"]
    assert held.source == "column:score"


def test_a_refusal_says_how_many_more_pairs_and_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = write(tmp_path / "few.jsonl", rows(60))
    found = said(capsys, "--data", few, "--score-column", "score", code=1)
    assert (found["certified"], found["threshold"], found["needed"], found["levels"]) == (False, None, 54, [])
    assert found["ece_after"] is None
    more = write(tmp_path / "more.jsonl", rows(105))
    out = tmp_path / "calibration.json"
    found = said(capsys, "--data", more, "--score-column", "score", "--out", str(out), code=1)
    assert (found["certified"], found["needed"]) == (False, 9)
    assert found["outlook"]["pairs"] > 300
    assert found["ece_after"] < found["ece_before"]
    assert {level.loss for level in load(out).levels} <= {0.05, 0.1}
    assert run(["calibrate", "--data", more, "--score-column", "score"]) == 1
    told = capsys.readouterr()
    assert "loss 0.02   not certified: 9 more pairs at least" in told.out
    assert "at least 9 more are needed" in told.err


def test_a_net_promise_sends_more_to_mini_where_it_gains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance, made = random.Random(1), rows(1_500)
    for row in made:
        if row["weak_score"] == 1.0 and chance.random() < 0.05:
            row["strong_score"] = 0.0
    data, out = write(tmp_path / "pairs.jsonl", made), tmp_path / "calibration.json"
    arguments = ("--data", data, "--score-column", "score", "--loss", "0.03", "--levels", "")
    lost, net = said(capsys, *arguments), said(capsys, *arguments, "--count", "net", "--out", str(out))
    assert (lost["count"], net["count"]) == ("lost", "net")
    assert net["share_mini"] > 1.2 * lost["share_mini"]
    assert net["risk"] < net["bound"] <= 0.03 < net["activity"]
    assert load(out).count == "net"
    for count, words in (("lost", "% lost, at most"), ("net", "% lost net, at most")):
        assert run(["calibrate", *arguments, "--count", count]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"promised is what is {'lost where' if count == 'lost' else 'lost net'}" in lines[2]
        assert words in lines[4]
    few = write(tmp_path / "few.jsonl", rows(105))
    assert run(["calibrate", "--data", few, "--score-column", "score", "--count", "net"]) == 1
    assert "a net loss of 0.02 cannot be promised" in capsys.readouterr().err


def test_for_people_it_says_threshold_share_loss_and_bound(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "--data", data, "--score-column", "score"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1,500 rows of 1,500 groups, scored by column:score"
    assert lines[1].startswith("calibration: ")
    assert any(line.startswith("  loss 0.02   Large from 0.") and "to Mini" in line for line in lines)


def test_the_file_lies_over_the_shipped_weights_and_keeps_its_promise(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibration.json"
    found = said(capsys, "--data", data, "--loss", "0.1", "--by", "tenant", "--out", str(out))
    assert found["certified"]
    assert set(load(out).calibration.tenants) == {"shop", "desk"}
    config = tmp_path / "tandem.yaml"
    general = "classifier: {weights: general}\n"
    config.write_text(f"{general}policy: {{use: certified, file: {out}, loss: 0.1}}\n")
    assert run(["score", "where is order 7", "--config", str(config), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["reason"] == "certified"
    assert scored["threshold"] == found["threshold"]
    assert scored["scorer"] == load(out).scorer
    config.write_text(f"{general}policy: {{use: certified, file: {out}, loss: 0.0001}}\n")
    assert run(["score", "where is order 7", "--config", str(config)]) == 3
    assert "is not certified" in capsys.readouterr().err


def test_several_files_are_one_and_a_seed_makes_it_repeatable(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = write(tmp_path / "again.jsonl", rows(300, seed=1))  # of the same groups
    arguments = ("--data", data, "--data", again, "--score-column", "score", "--seed", "3", "--kind", "isotonic")
    found = said(capsys, *arguments)
    assert (found["rows"], found["pairs"], found["kind"]) == (1_800, 1_500, "isotonic")
    assert found == said(capsys, *arguments)


@pytest.mark.parametrize("bound", ["betting", "hoeffding-bentkus"])
def test_another_test_of_the_promise_can_be_chosen(bound: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--data", data, "--score-column", "score", "--loss", "0.05", "--levels", "")
    exact, other = said(capsys, *arguments), said(capsys, *arguments, "--bound", bound)
    assert [level["loss"] for level in other["levels"]] == [0.05]
    assert 0.0 < other["share_mini"] < exact["share_mini"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": 1.5}, "pairs.jsonl:2:score: is 1.5; write a probability"),
        ({"score": None}, "pairs.jsonl:2:score: is missing"),
        ({"weak_score": None}, "pairs.jsonl:2:weak_score: is missing"),
        ({"strong_score": "good"}, "pairs.jsonl:2:strong_score: is good"),
        ({"group": None}, "pairs.jsonl:2:group: is missing"),
        ({"tenant": 3}, "pairs.jsonl:2:tenant: is int"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    change: dict[str, object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = rows(120)
    made[1].update(change)
    path = write(tmp_path / "pairs.jsonl", made)
    assert run(["calibrate", "--data", path, "--score-column", "score"]) == 1
    assert words in capsys.readouterr().err


def test_one_class_only_nothing_at_all_and_no_file_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "easy.jsonl", [{**row, "weak_score": 1.0} for row in rows(150)])
    assert run(["calibrate", "--data", path, "--score-column", "score"]) == 1
    assert "one class only" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_text("")
    for name in ("empty.jsonl", "none.jsonl"):
        assert run(["calibrate", "--data", str(tmp_path / name)]) == 1
        assert name in capsys.readouterr().err


def test_weights_and_places_that_cannot_be_used_are_named(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    for name in ("weights.json", "folder", "none.json"):
        assert run(["calibrate", "--data", data, "--weights", str(tmp_path / name)]) == 1
        assert name in capsys.readouterr().err
    assert run(["calibrate", "--data", data, "--score-column", "score", "--out", "/proc/none/c.json"]) == 1
    assert "(/proc/none/c.json)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--loss", "0"),
        ("--loss", "1"),
        ("--loss", "nan"),
        ("--confidence", "1"),
        ("--levels", "0.1,many"),
        ("--levels", "0.1,2"),
        ("--by", "source"),
        ("--kind", "magic"),
        ("--count", "gross"),
        ("--count", "net", "--bound", "betting"),
        ("--score-column", "score", "--weights", "w.json"),
    ],
)
def test_slips_are_told_apart_from_failures(
    arguments: tuple[str, ...], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", "--data", data, *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_rows_that_the_weights_were_fitted_on_are_refused(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(tmp_path / "own.json")
    assert run(["train", "--data", data, "--out", weights]) == 0
    assert run(["calibrate", "--data", data, "--weights", weights]) == 1
    assert "no promise can rest on them" in capsys.readouterr().err
