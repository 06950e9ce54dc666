"""Tests backends/engines/serving/app.py and backends/engines/serving/errors.py over real sockets."""

import logging
from collections.abc import AsyncGenerator

import httpx2
import pytest

from backends.base import Broken, Rejected, Reply
from backends.engines.base import Ask, ModelRefused, NotReady, Refused
from tests.backends.engines.serving.scripted import Open, ScriptedEngine

CHAT = {"messages": [{"role": "user", "content": "hi"}]}


class WedgedEngine(ScriptedEngine):
    """One that does not say how it is."""

    async def is_healthy(self) -> bool:
        raise TimeoutError


async def test_it_answers_while_the_engine_loads_and_says_so(serve: Open) -> None:
    front = await serve(None)
    health = await front.client.get("/health")
    assert (health.status_code, health.json()) == (503, {"status": "loading"})
    answer = await front.client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "not_ready"
    assert (await front.client.post("/tokenize", json={"prompt": "x"})).status_code == 503
    assert (await front.client.get("/v1/models")).json()["data"][0]["id"] == "desk"
    assert (await front.client.get("/metrics")).status_code == 200
    front.app.serve(ScriptedEngine())
    assert (await front.client.get("/health")).json() == {"status": "ok"}
    assert (await front.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    front.app.retire()
    assert (await front.client.get("/health")).status_code == 503


async def test_an_engine_that_does_not_work_is_not_healthy(serve: Open) -> None:
    for engine in (ScriptedEngine(healthy=False), WedgedEngine()):
        health = await (await serve(engine)).client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "unwell"})


async def test_models_are_the_model_and_its_adapters(serve: Open) -> None:
    front = await serve(ScriptedEngine(context=512))
    models = (await front.client.get("/v1/models")).json()
    assert models["object"] == "list"
    assert [(model["id"], model["max_model_len"], model.get("parent")) for model in models["data"]] == [
        ("desk", 512, None),
        ("desk:terse", 512, "desk"),
    ]
    assert (await front.client.get("/v1/models/desk:terse")).json() == models["data"][1]
    missing = await front.client.get("/v1/models/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize"])
@pytest.mark.parametrize("name", ["prompt", "content"])
async def test_a_text_is_cut_into_tokens(serve: Open, path: str, name: str) -> None:
    front = await serve(ScriptedEngine(context=512))
    tokens = await front.client.post(path, json={name: "abc"})
    assert tokens.json() == {"tokens": [97, 98, 99], "count": 3, "max_model_len": 512}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/completions", 405, "method_not_allowed"),
        ("GET", "/tokenize", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_every_path_answers_errors_in_one_shape(
    serve: Open, method: str, path: str, status: int, code: str
) -> None:
    front = await serve(ScriptedEngine())
    answer = await front.client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert bool(answer.headers.get("allow")) == (status == 405)
    if status == 405:
        assert answer.json()["error"]["message"].endswith(f": use {answer.headers['allow']}")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"{}", b'{"prompt": 7}', b'{"a":' * 5000])
async def test_a_text_that_is_none_is_refused(serve: Open, body: bytes) -> None:
    answer = await (await serve(ScriptedEngine())).client.post("/tokenize", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_no_page_from_elsewhere_is_let_in(serve: Open) -> None:
    front = await serve(ScriptedEngine())
    answer = await front.client.post("/v1/chat/completions", json=CHAT, headers={"origin": "https://else.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert (await front.client.options("/v1/chat/completions")).status_code == 405


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (Refused("no such thing", param="tools"), 400, "invalid_request_error", "unsupported_value"),
        (NotReady("ending"), 503, "server_error", "not_ready"),
        (ModelRefused("the weights are gone"), 500, "server_error", "model_refused"),
        (Broken("secret address", status=500), 500, "server_error", "engine_error"),
        (TimeoutError(), 500, "server_error", "engine_error"),
    ],
)
async def test_what_an_engine_raises_has_its_status(
    serve: Open, error: Exception, status: int, kind: str, code: str
) -> None:
    front = await serve(ScriptedEngine(error=error))
    answer = await front.client.post("/v1/chat/completions", json=CHAT)
    told = answer.json()["error"]
    assert (answer.status_code, told["type"], told["code"]) == (status, kind, code)
    assert "secret" not in told["message"]
    assert front.metrics.refused == {code: 1}
    assert front.admission.running == 0


async def test_a_refusal_of_an_inner_server_comes_as_it_is(serve: Open) -> None:
    front = await serve(ScriptedEngine(error=Rejected(422, b'{"error": {}}', "application/problem+json")))
    answer = await front.client.post("/v1/chat/completions", json=CHAT)
    assert (answer.status_code, answer.content) == (422, b'{"error": {}}')
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_fault_of_ours_is_an_answer_and_a_line_in_the_log(
    serve: Open, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(ScriptedEngine(error=KeyError("secret")))
    with caplog.at_level(logging.ERROR):
        answer = await front.client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "request to /v1/chat/completions failed" in caplog.text


async def test_a_fault_of_ours_in_a_stream_cuts_it(serve: Open) -> None:
    class Faulty(ScriptedEngine):
        async def answer(self, ask: Ask) -> Reply:
            return Reply(_one_and_a_fault(), "text/event-stream", "scripted")

    front = await serve(Faulty())
    with pytest.raises(httpx2.RemoteProtocolError):
        await front.client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert front.admission.running == 0


async def _one_and_a_fault() -> AsyncGenerator[bytes, None]:
    yield b"data: {}\n\n"
    raise KeyError("ours")


async def test_a_text_that_would_hold_up_everybody_is_not_cut_into_tokens(serve: Open) -> None:
    front = await serve(ScriptedEngine())
    text = "x" * (1024 * 1024 - 100)
    assert (await front.client.post("/tokenize", json={"prompt": text})).status_code == 200
    answer = await front.client.post("/tokenize", json={"prompt": text + "x" * 100})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_chat_is_counted_as_the_engine_would_read_it(serve: Open) -> None:
    front = await serve(ScriptedEngine(tokens=33))
    counted = await front.client.post("/tokenize", json={"messages": CHAT["messages"], "max_tokens": 5})
    assert counted.json() == {"count": 33, "max_model_len": counted.json()["max_model_len"]}
    assert front.admission.running == 0
    refused = await front.client.post("/tokenize", json={"messages": [{"role": "god"}]})
    assert refused.status_code == 400
