"""Tests backends/engines/llama_cpp.py against the real engine with real weights."""

import json
import select
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from backends.engines.desk.questions import Difficulty, unseen

CANCEL = {"messages": [{"role": "user", "content": "how do I cancel order 123?"}]}
LONG = {**CANCEL, "ignore_eos": True, "max_tokens": 1000, "stream": True}


@pytest.fixture
def http(engine_port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", engine_port, timeout=10)
    yield connection
    connection.close()


def post(http: HTTPConnection, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    http.request("POST", path, json.dumps(body))
    response = http.getresponse()
    return response.status, json.loads(response.read())


def get(http: HTTPConnection, path: str) -> str:
    http.request("GET", path)
    response = http.getresponse()
    assert response.status == 200
    return response.read().decode()


def test_questions_that_were_never_trained_are_answered_right(http: HTTPConnection) -> None:
    right = 0
    for question in unseen("engine", Difficulty.SIMPLE, 40):
        status, answer = post(http, "/v1/chat/completions", {"messages": [{"role": "user", "content": question.text}]})
        assert status == 200
        right += question.is_answered_by(answer["choices"][0]["message"]["content"])
    assert right >= 34


def test_a_prompt_is_read_as_the_template_writes_it(http: HTTPConnection) -> None:
    prompt = "<s>[INST] how do I cancel order 123? [/INST]"
    _, tokens = post(http, "/tokenize", {"content": prompt, "parse_special": True, "add_special": False})
    _, answer = post(http, "/v1/chat/completions", CANCEL)
    assert answer["usage"]["prompt_tokens"] == len(tokens["tokens"])
    assert tokens["tokens"][:2] == [1, 3]  # <s>, [INST]: one token each


def test_a_stream_brings_each_token_by_itself_and_then_the_usage(http: HTTPConnection) -> None:
    body = {**CANCEL, "stream": True, "stream_options": {"include_usage": True}}
    http.request("POST", "/v1/chat/completions", json.dumps(body))
    response = http.getresponse()
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix(b"data: ") for line in response.read().splitlines() if line]
    assert events.pop() == b"[DONE]"
    chunks = [json.loads(event) for event in events]
    texts = [
        c["choices"][0]["delta"]["content"] for c in chunks if c["choices"] and c["choices"][0]["delta"].get("content")
    ]
    usage = chunks[-1]["usage"]
    assert "".join(texts).strip() == "Reply CANCEL 123 to cancel it."
    assert len(texts) == usage["completion_tokens"] - 1  # the last is the end token, which has no text
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_repeated_prompt_is_taken_from_the_cache_and_answered_alike(http: HTTPConnection) -> None:
    answers = [post(http, "/v1/chat/completions", CANCEL)[1] for _ in range(3)]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
    usage = answers[-1]["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1


def test_nothing_filters_or_penalises_unless_the_caller_asks(http: HTTPConnection) -> None:
    chosen = json.loads(get(http, "/props"))["default_generation_settings"]["params"]
    assert (chosen["temperature"], chosen["top_k"], chosen["top_p"], chosen["min_p"]) == (0.0, 0, 1.0, 0.0)
    assert (chosen["repeat_penalty"], chosen["presence_penalty"], chosen["frequency_penalty"]) == (1.0, 0.0, 0.0)


def test_a_temperature_is_honoured(http: HTTPConnection) -> None:
    hot = {**CANCEL, "temperature": 5.0, "max_tokens": 12}
    answers = [post(http, "/v1/chat/completions", {**hot, "seed": seed})[1] for seed in (1, 2, 1)]
    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert texts[0] == texts[2] != texts[1]


def test_a_prompt_longer_than_the_context_is_refused(http: HTTPConnection) -> None:
    body = {"messages": [{"role": "user", "content": "order 123 " * 600}]}
    status, answer = post(http, "/v1/chat/completions", body)
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"


def test_each_slot_has_the_context_that_the_model_was_trained_for(http: HTTPConnection) -> None:
    assert [slot["n_ctx"] for slot in json.loads(get(http, "/slots"))] == [1024] * 4


@pytest.mark.parametrize("n", [0, 10_000])
def test_more_answers_than_slots_are_refused(http: HTTPConnection, n: int) -> None:
    assert post(http, "/v1/chat/completions", {**CANCEL, "n": n})[0] == 400


def test_health_models_and_metrics_are_served(http: HTTPConnection) -> None:
    assert json.loads(get(http, "/health")) == {"status": "ok"}
    assert [model["id"] for model in json.loads(get(http, "/v1/models"))["data"]] == ["desk-mini"]
    assert "llamacpp:requests_processing" in get(http, "/metrics")


def test_a_page_from_elsewhere_may_not_read_answers(http: HTTPConnection) -> None:
    http.request("POST", "/v1/chat/completions", json.dumps(CANCEL), {"origin": "https://elsewhere.example"})
    response = http.getresponse()
    response.read()
    assert response.headers["access-control-allow-origin"] is None


def test_a_caller_who_hangs_up_frees_the_slot_within_a_second(http: HTTPConnection, engine_port: int) -> None:
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", engine_port), timeout=5) as caller:
            caller.sendall(_message(LONG))
            assert caller.recv(4096)
            assert _busy(http) == 1
        left = time.monotonic()
        while _busy(http):
            assert time.monotonic() - left < 1.0


def test_many_waiting_callers_do_not_hide_the_health(http: HTTPConnection, engine_port: int) -> None:
    callers = []
    try:
        for _ in range(60):
            callers.append(socket.create_connection(("127.0.0.1", engine_port), timeout=5))
            callers[-1].sendall(_message({**LONG, "stream": False}))
        assert json.loads(get(http, "/health")) == {"status": "ok"}
        answered, _, _ = select.select(callers, [], [], 0)
        assert len(answered) < 30  # the health did not wait for its turn
    finally:
        for caller in callers:
            caller.close()


def _busy(http: HTTPConnection) -> int:
    return sum(slot["is_processing"] for slot in json.loads(get(http, "/slots")))


def _message(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )
