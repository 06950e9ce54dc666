"""Tests router/bench/load.py."""

import json
from pathlib import Path

import pytest
import uvloop

from router.bench.callers import MARK, Plan
from router.bench.companions import BenchError, free_cores, run_load
from router.bench.load import BODY, STREAM_BODY, main, run
from router.bench.upstream import finals

CHAT = "/v1/chat/completions"


def test_every_request_gets_its_answer_and_the_loop_stays_full(upstream: str) -> None:
    result = uvloop.run(run(Plan(url=upstream + CHAT, body=BODY, connections=8, seconds=0.3)))
    assert result.errors == 0, result.first_error
    assert result.sent == result.answered == result.requests > 20
    assert 0 < result.p50 <= result.p99


def test_streams_are_counted_to_the_last_event(upstream: str) -> None:
    url = f"{upstream}{CHAT}?chunks=5&gap=0.002"
    result = uvloop.run(run(Plan(url=url, body=STREAM_BODY, connections=10, streams=2, chunks=5)))
    assert result.errors == 0, result.first_error
    assert result.requests == 20
    assert result.events == result.events_expected == 20 * (5 + finals(include_usage=True))


def test_a_port_where_nobody_listens_is_an_error_for_each_connection() -> None:
    result = uvloop.run(run(Plan(url="http://127.0.0.1:1/", body=BODY, connections=3, seconds=0.1)))
    assert (result.sent, result.errors) == (0, 3)
    with pytest.raises(BenchError, match="no connection"):
        run_load("http://127.0.0.1:1/", "--seconds", "0.1", core=free_cores().others)


def test_the_program_sends_the_body_of_a_file_and_prints_one_object(
    upstream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"messages": [{"role": "user", "content": MARK}], "stream": True}), encoding="utf-8")
    flags = ["--connections", "2", "--streams", "1", "--chunks", "3", "--body-file", str(body)]
    main(["--url", f"{upstream}{CHAT}?chunks=3&gap=0.001", *flags])
    printed = json.loads(capsys.readouterr().out)
    assert printed["requests"] == 2
    assert printed["events"] == 2 * (3 + finals(include_usage=False))
