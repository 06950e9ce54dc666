"""Tests `router/commands/alerts.py`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from router.alerts.kinds import KINDS
from router.commands.program import run

FIGURES = b'# TYPE tandem_alert_state gauge\ntandem_alert_state{alert="error_rate"} 2.0\n'


@contextmanager
def server(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """Yield an address that gives figures and takes alerts, and what it was sent."""
    taken: list[bytes] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, FIGURES)

        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self._say(status, b"")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", taken
        finally:
            http.shutdown()
            thread.join()


def config(folder: Path, url: str) -> str:
    path = folder / "tandem.yaml"
    path.write_text(f'alerts: {{webhook: {{url: "{url}"}}}}\n')
    return str(path)


def test_all_alerts_are_listed_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["alerts"]
    assert [row["alert"] for row in rows] == list(KINDS)
    assert all(row["do"] and row["false_alarms"] and "#" in row["runbook"] for row in rows)
    assert rows[0]["firing"] is None


def test_a_running_gateway_says_how_many_fire(capsys: pytest.CaptureFixture[str]) -> None:
    with server() as (url, _):
        assert run(["alerts", "list", "--url", url]) == 0
    said = capsys.readouterr().out
    assert "error_rate (critical)  2 firing" in said
    assert "score_drift (warning)  0 firing" in said


def test_a_gateway_that_is_away_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts", "list", "--url", "http://127.0.0.1:9", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "http://127.0.0.1:9"


def test_the_webhook_is_tried_with_an_alert_and_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as (url, taken):
        assert run(["alerts", "test", "--config", config(tmp_path, url), "--alert", "cost_rate"]) == 0
    assert [json.loads(body)["status"] for body in taken] == ["firing", "resolved"]
    assert json.loads(taken[0])["alerts"][0]["labels"]["alertname"] == "cost_rate"
    assert "has taken cost_rate" in capsys.readouterr().out


def test_a_webhook_that_refuses_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(403) as (url, _):
        assert run(["alerts", "test", "--config", config(tmp_path, url)]) == 1
    assert "answered 403" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--alert", "none"], 2), ([], 1), (["--config", "URL"], 1)], ids=["alert", "none", "away"]
)
def test_what_cannot_be_tried_is_said_why(
    tmp_path: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [config(tmp_path, "http://127.0.0.1:9/") if word == "URL" else word for word in arguments]
    assert run(["alerts", "test", *named]) == code
    assert "error: " in capsys.readouterr().err
