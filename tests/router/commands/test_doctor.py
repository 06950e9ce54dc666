"""Tests `router/commands/doctor.py`, on this machine as it is and with parts taken away."""

import json
import os
import socket
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from router.commands import doctor
from router.commands.doctor import State, findings_of
from router.commands.program import run
from router.config.reading import read_config
from router.ledger.holding import hold


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a ledger in an empty folder and a port of the system's choice."""
    path = tmp_path / "tandem.yaml"
    path.write_text(f"server: {{port: 0}}\nledger: {{path: {tmp_path}/a.db}}\n")
    return path


def state_of(name: str, path: Path | None) -> State:
    """Return the state of one finding; where it is not well, it has to say what to do."""
    (finding,) = [finding for finding in findings_of(path) if finding.name == name]
    assert (finding.state is State.OK) == (finding.advice == "")
    return finding.state


def test_a_whole_checkout_has_no_failure(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--config", str(config), "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["name"] for check in checks if check["state"] == "failed"] == []
    assert {"python", "packages", "redis", "models", "llama.cpp", "configuration", "port", "ledger"} <= {
        check["name"] for check in checks
    }


def test_a_failure_stands_with_what_to_do_and_fails_the_command(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("server: {prot: 1}\n")
    assert run(["doctor", "--config", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("failed   configuration")]
    assert f"{config}:1:10: server.prot" in lines[place]
    assert lines[place + 1].strip() == f"-> see tandem check --config {config}"


def test_a_port_that_is_taken_is_found(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config.write_text(f"server: {{port: {taken.getsockname()[1]}}}\n")
        assert state_of("port", config) is State.FAILED


@contextmanager
def answering(body: bytes) -> Generator[int, None, None]:
    """Answer one request so, at the port that is yielded."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        asked = Thread(target=server.handle_request)
        asked.start()
        yield server.server_port
        asked.join()


def test_a_port_at_which_tandem_answers_is_in_order(config: Path) -> None:
    with answering(b'{"status": "unavailable", "backends": {"large": false, "mini": false}}') as port:
        config.write_text(f"server: {{port: {port}}}\n")
        assert state_of("port", config) is State.OK


@pytest.mark.parametrize("body", [b"[]", b'{"backends": 5}', b'{"backends": [["large"], "mini"]}', b"[" * 60_000])
def test_a_port_at_which_something_else_answers_is_taken(config: Path, body: bytes) -> None:
    with answering(body) as port:
        config.write_text(f"server: {{port: {port}}}\n")
        assert state_of("port", config) is State.FAILED


def test_a_clock_that_is_not_believed_is_told(config: Path, tmp_path: Path) -> None:
    chosen = read_config(config)
    hold(tmp_path / "a.db").close()
    assert doctor._ledger(chosen).state is State.OK
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("INSERT INTO marks VALUES ('clock_believed', '1.7e9'), ('clock_doubted', '1.9e9')")
    finding = doctor._ledger(chosen)
    assert finding.state is State.WARNING
    assert "the clock says 2030-03-17T17:46Z, and was last believed at 2023-11-14T22:13Z" in finding.found
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("UPDATE marks SET value = 'noon' WHERE name = 'clock_doubted'")
    assert doctor._ledger(chosen).state is State.OK


def test_a_ledger_that_cannot_be_written_is_found(config: Path, tmp_path: Path) -> None:
    for path in (tmp_path, config / "a.db"):
        config.write_text(f"ledger: {{path: {path}}}\n")
        assert state_of("ledger", config) is State.FAILED


def test_weights_that_cannot_be_used_are_found(config: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text("{}")
    config.write_text(f"classifier: {{weights: {tmp_path}/weights.json}}\n")
    assert state_of("classifier", config) is State.FAILED


def test_what_tandem_works_without_is_a_warning(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(doctor, "find_binary", lambda: None)
    assert state_of("browser", config) is State.WARNING
    assert state_of("redis", config) is State.WARNING


def test_a_redis_that_does_not_run_is_a_warning(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(doctor, "find_binary", lambda: broken)
    assert state_of("redis", config) is State.WARNING


def test_damaged_and_missing_models_are_found(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "mini.gguf"
    damaged.write_bytes(b"GGUX")
    for files in ({"mini": damaged, "large": damaged}, {"mini": damaged}, {}):
        monkeypatch.setattr(doctor, "bundled", lambda files=files: files)
        assert state_of("models", config) is State.FAILED


def test_both_builds_of_onnxruntime_at_once_are_a_failure(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_is_installed", lambda _: True)
    assert state_of("onnxruntime", config) is State.FAILED


def test_an_engine_that_cannot_be_imported_is_a_failure(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    assert state_of("llama.cpp", config) is State.FAILED
