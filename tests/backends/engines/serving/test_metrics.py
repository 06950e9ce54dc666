"""Tests backends/engines/serving/metrics.py, and what backends/engines/serving/passing.py counts."""

import re

import pytest

from backends.engines.base import Load
from backends.engines.serving.admission import Admission
from backends.engines.serving.metrics import PREFIX, WINDOW, Metrics
from backends.engines.serving.passing import Passing
from tests.backends.engines.serving.scripted import DONE, USAGE, Open, ScriptedEngine, chunk

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "hi"}]}


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics("desk", Admission(places=4, queue=4, clock=clock), clock=clock)


def figures(text: bytes) -> dict[str, float]:
    found = re.findall(r"^(\w+)\{(.*)\} (\S+)$", text.decode(), re.MULTILINE)
    assert all('model_name="desk"' in labels for _, labels, _ in found)
    return {
        f"{name.removeprefix(PREFIX)} {re.sub('model_name=.desk.,?', '', labels)}".rstrip(", "): float(value)
        for name, labels, value in found
    }


def test_a_stream_is_timed_and_counted(metrics: Metrics, clock: Clock) -> None:
    passing = Passing(metrics, 1, began=clock.now - 1.0, strip_usage=True)
    clock.now += 1.0
    for text in ("a", " b", " c"):
        assert passing.take(chunk(text)) == chunk(text)
        clock.now += 0.125
    assert passing.take(chunk("", reason="length") + USAGE + DONE) == chunk("", reason="length") + DONE
    assert passing.end() == b""
    told = figures(metrics.text())
    assert told['request_success_total finished_reason="length"'] == 1
    assert told["prompt_tokens_total"] == 5
    assert told["generation_tokens_total"] == 3
    assert told["request_queue_time_seconds_sum"] == 1.0
    assert told["time_to_first_token_seconds_sum"] == 2.0
    assert told["time_per_output_token_seconds_sum"] == pytest.approx(0.1875)  # 0.375 s for two more tokens
    assert told["e2e_request_latency_seconds_sum"] == pytest.approx(2.375)
    assert told['time_to_first_token_seconds_bucket le="1"'] == 0
    assert told['time_to_first_token_seconds_bucket le="2.5"'] == 1
    assert told['time_to_first_token_seconds_bucket le="+Inf"'] == told["time_to_first_token_seconds_count"] == 1


def test_the_role_alone_is_no_first_token(metrics: Metrics, clock: Clock) -> None:
    passing = Passing(metrics, 1, began=clock.now, strip_usage=True)
    passing.take(b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n')
    assert figures(metrics.text())["time_to_first_token_seconds_count"] == 0
    passing.take(chunk("a"))
    assert figures(metrics.text())["time_to_first_token_seconds_count"] == 1


def test_tokens_per_second_are_those_of_the_last_seconds(metrics: Metrics, clock: Clock) -> None:
    name = "avg_generation_throughput_toks_per_s"
    for _ in range(40):
        metrics.came(5)
        clock.now += 0.5
    assert figures(metrics.text())[name] == pytest.approx(10, rel=0.1)
    clock.now += WINDOW + 1
    assert figures(metrics.text())[name] == 0


def test_what_the_engine_and_its_store_know_is_told(metrics: Metrics) -> None:
    busy = Load(running=2, waiting=3, kv_used=0.25, prompt_tokens=100, cached_tokens=40)
    metrics.watch(lambda: busy, lambda: {"slots_restored": 7}, lambda: {"kv_store_hits_total": 9})
    told = figures(metrics.text())
    assert told["kv_cache_usage_perc"] == 0.25
    assert told["num_requests_waiting"] == 3
    assert (told["prefix_cache_queries_total"], told["prefix_cache_hits_total"]) == (100, 40)
    assert (told["slots_restored"], told["kv_store_hits_total"]) == (7, 9)
    assert f"# TYPE {PREFIX}kv_store_hits_total counter".encode() in metrics.text()
    assert not any(name.startswith("spec_decode") for name in told)


def test_drafting_is_told_where_there_is_some(metrics: Metrics) -> None:
    busy = Load(running=0, waiting=0, kv_used=0.0, drafted_tokens=50, accepted_tokens=30)
    metrics.watch(lambda: busy)
    told = figures(metrics.text())
    assert told["spec_decode_num_draft_tokens_total"] == 50
    assert told["spec_decode_num_accepted_tokens_total"] == 30


async def test_requests_are_counted_by_how_they_went(serve: Open) -> None:
    front = await serve(ScriptedEngine())
    for body in (BODY, {**BODY, "stream": True}, {**BODY, "n": 2}, {**BODY, "n": 2, "stream": True}):
        assert (await front.client.post(CHAT, json=body)).status_code == 200
    await front.client.post(CHAT, json={**BODY, "n": 0})
    answer = await front.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    told = figures(answer.content)
    assert told['request_success_total finished_reason="stop"'] == 6
    assert told['request_refused_total code="unsupported_value"'] == 1
    assert told["prompt_tokens_total"] == 20
    assert told["generation_tokens_total"] == 3 + 3 + 6 + 3
    assert told["num_requests_running"] == told["num_requests_waiting"] == 0
    assert told["e2e_request_latency_seconds_count"] == told["request_queue_time_seconds_count"] == 4
    assert told["time_to_first_token_seconds_count"] == told["time_per_output_token_seconds_count"] == 2
