"""Tests router/commands/replay.py and router/commands/savings.py, as a shell calls them."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.base import Tier
from router.commands.program import run
from tests.router.logged import BEGIN, Logged, write_ledger

POLICY = "threshold@0.5/large"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a threshold of 0.5; every third request was sent to the other tier, too."""
    rng, logged = random.Random(1), []
    for number in range(1_000):
        score, tokens = rng.random(), (rng.randrange(100, 900), rng.randrange(20, 200))
        logged.append(
            Logged(
                number,
                number * 60.0,
                Tier.LARGE if score >= 0.5 else Tier.MINI,
                tokens,
                score=score,
                user=f"{rng.randrange(100):02x}ff",
                shadow=(tokens[0], rng.randrange(20, 200)) if number % 3 == 0 else None,
                labels=(1.0, float(rng.random() < 0.7)) if number % 3 == 0 else None,
                sampled=1 / 3,
                policy=POLICY,
                config="c1",
            )
        )
    return write_ledger(tmp_path_factory.mktemp("replay") / "ledger.db", logged)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tandem.yaml"
    path.write_text("policy: {use: threshold, threshold: 0.5}\n", encoding="utf-8")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.yaml"
    path.write_text("policy: {use: threshold, threshold: 0.1}\n", encoding="utf-8")
    return path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Return what a command prints with --json."""
    code = run([*map(str, arguments), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"exit": code, **found}


def test_savings_are_printed_with_their_interval(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = called(capsys, "savings", "--ledger", ledger)
    saved = said["estimate"]["all-Large without caches"]["saved"]
    assert said["exit"] == 0
    assert saved["low"] < saved["value"] < saved["high"]
    assert run(["savings", "--ledger", str(ledger)]) == 0
    assert "95 % interval" in capsys.readouterr().out


def test_where_nothing_can_be_said_that_is_no_failure(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, "savings", "--ledger", ledger, "--since", "2031-01-01")["estimate"] is None
    assert run(["savings", "--ledger", str(ledger), "--since", "2031-01-01"]) == 0
    assert "no estimate: no request was priced in that time" in capsys.readouterr().out


def test_another_threshold_is_replayed(
    ledger: Path, config: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = called(capsys, "replay", "--policy", other, "--ledger", ledger, "--config", config)
    assert said["moved"]["to_large"] > 300
    assert said["cost"]["target"]["low"] > said["cost"]["logged"]
    assert said["quality"]["doubly_robust"]["low"] > 0
    assert run(["replay", "--policy", str(other), "--ledger", str(ledger), "--config", str(config)]) == 0
    assert "requests move to large, 0 to mini" in capsys.readouterr().out


def test_the_logged_decisions_come_out_equal(ledger: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = called(capsys, "replay", "--check", "--ledger", ledger, "--config", config)
    assert said["equal"] == {"score": 1_000}
    assert said["unequal"] == said["other_policies"] == said["undecidable"] == {}


def test_under_another_configuration_they_are_counted_apart(
    ledger: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = called(capsys, "replay", "--check", "--ledger", ledger, "--config", other)
    assert (said["equal"], said["other_policies"]) == ({}, {POLICY: 1_000})


def test_a_span_is_replayed_alone(ledger: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    until = datetime.fromtimestamp(BEGIN + 10 * 60, UTC).isoformat()
    said = called(capsys, "replay", "--check", "--ledger", ledger, "--config", config, "--until", until)
    assert said["equal"] == {"score": 10}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "what to replay is not said"),
        (["--check", "--policy", "x.yaml"], 2, "what to replay is not said"),
        (["--policy", "none.yaml"], 3, "none.yaml"),
    ],
)
def test_what_cannot_be_understood_is_said(
    ledger: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", *arguments, "--ledger", str(ledger)]) == code
    assert words in capsys.readouterr().err


def test_what_the_ledger_cannot_tell_is_said(
    ledger: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cascade.yaml"
    file.write_text("policy: {use: cascade}\n", encoding="utf-8")
    assert run(["replay", "--policy", str(file), "--ledger", str(ledger), "--config", str(config)]) == 1
    assert "a cascade judges Mini's replies" in capsys.readouterr().err


def test_a_cache_is_not_replayed_on_a_log_without_reply_keys(
    ledger: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cache.yaml"
    file.write_text("cache: {ttl: 60}\n", encoding="utf-8")
    assert run(["replay", "--policy", str(file), "--ledger", str(ledger), "--config", str(config)]) == 1
    assert "of 1,000 requests 1,000 came while no reply key was recorded" in capsys.readouterr().err
    file.write_text("cache: {enabled: false}\n", encoding="utf-8")
    said = called(capsys, "replay", "--policy", file, "--ledger", ledger, "--config", config)
    assert said["cost"]["target"]["value"] == said["cost"]["logged"]
    assert said["cache"]["hits"] == {"logged": 0, "target": 0}


def test_a_ledger_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["savings", "--ledger", str(tmp_path / "none.db")]) == 1
    assert "there is no ledger" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("no database" * 100, encoding="utf-8")
    for command in (["savings"], ["replay", "--check"]):
        assert run([*command, "--ledger", str(tmp_path / "text.db")]) == 1
        assert "cannot be read" in capsys.readouterr().err
