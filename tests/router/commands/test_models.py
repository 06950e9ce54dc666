"""Tests router/commands/models.py."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.commands.program import run
from router.learning.registry import Registry
from tests.router.learning.by_hand import write_weights

Say = Callable[..., dict[str, Any]]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    registry.begin(write_weights(tmp_path, "1"), "linear", now=1_767_225_600.0)
    return registry


@pytest.fixture
def say(registry: Registry, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return what runs a command of the group and gives the object that it prints."""

    def call(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert run(["models", *arguments, "--registry", str(registry.folder), "--json"]) == code
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return call


def test_a_version_is_challenged_promoted_and_rolled_back(say: Say, registry: Registry, tmp_path: Path) -> None:
    said = say("challenge", str(write_weights(tmp_path, "2")))
    one, two = said["champion"], said["contest"]["rival"]
    assert said["contest"]["role"] == "challenger"
    assert said["evidence"]["requests"] == 0
    assert [row["role"] for row in say("list")["versions"]] == ["champion", "challenger"]
    said = say("promote")
    assert (said["champion"], said["contest"]["rival"], said["contest"]["role"]) == (two, one, "watcher")
    said = say("rollback")
    assert (said["champion"], said["contest"]) == (one, None)
    said = say("status")
    assert [event["what"] for event in said["events"]] == ["began", "challenged", "promoted", "rolled back"]
    assert [row["role"] for row in say("list")["versions"]] == ["champion", ""]
    assert registry.standing().champion == one


def test_for_people_it_says_who_serves_and_how_the_contest_stands(
    registry: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    standing = registry.challenge(write_weights(tmp_path, "2"), "linear", now=time.time())
    (tmp_path / "tandem.yaml").write_text(f"learning: {{registry: {registry.folder}}}\n")
    config = ["--config", str(tmp_path / "tandem.yaml")]
    assert run(["models", "status", *config]) == 0
    assert "no request yet" in capsys.readouterr().out
    assert standing.contest is not None
    for _ in range(3):
        registry.observe(standing.contest, 0.5, now=time.time())
    assert run(["models", "status", *config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"champion  {standing.champion}"
    assert "3 requests, mean loss -0.5000 beside the champion's, ln e(better)" in lines[1]
    assert lines[2].startswith("2026-01-01 00:00Z  began")
    for _ in range(30):
        registry.observe(standing.contest, -0.5, now=time.time())
    assert run(["models", "status", *config]) == 0
    assert "dropped" in capsys.readouterr().out
    assert run(["models", "list", *config]) == 0
    assert "champion" in capsys.readouterr().out


def test_what_cannot_be_done_is_said(
    say: Say,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "there is no challenger" in say("promote", code=1)["error"]["message"]
    assert "the first that served" in say("rollback", code=1)["error"]["message"]
    assert "serves already" in say("challenge", str(write_weights(tmp_path, "1")), code=1)["error"]["message"]
    assert (
        "another --version"
        in say("challenge", str(write_weights(tmp_path, "1", threshold=0.9)), code=1)["error"]["message"]
    )
    assert say("challenge", str(tmp_path / "none.json"), code=1)["error"]["where"] == str(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json" in say("challenge", str(tmp_path / "bad.json"), code=1)["error"]["message"]
    assert run(["models", "status"]) == 2
    assert "no registry is named (--registry)" in capsys.readouterr().err
    assert run(["models", "status", "--registry", str(tmp_path / "empty")]) == 1
    assert "no version serves yet" in capsys.readouterr().err
