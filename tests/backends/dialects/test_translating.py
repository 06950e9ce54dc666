"""backends/dialects/translating.py in front of a real server that speaks another dialect."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from time import monotonic

import pytest

from backends.base import Backend, Broken, Call, Rejected, Reply, StreamBroken
from backends.dialects.translating import CHAT
from backends.options import HttpOptions
from backends.sse import StreamReader, read_reply
from tests.backends.conftest import Serve, Visit, answer, chunked

BODY = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}'
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "up",
    "status": "completed",
    "output": [{"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hello"}]}],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "up",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


STREAM = (
    event("response.created", response={**RESPONSE, "status": "in_progress", "output": [], "usage": None}),
    event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta="hel", logprobs=[]),
    event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta="lo", logprobs=[]),
    event("response.completed", response=RESPONSE),
)


def call_of(*, stream: bool = False, body: bytes = BODY, path: str = CHAT) -> Call:
    return Call(path=path, body=body, stream=stream, deadline=monotonic() + 10, request_id="r1")


@asynccontextmanager
async def opened(port: int, dialect: str = "responses", **more: object) -> AsyncGenerator[Backend, None]:
    """Open the backend that a configuration chooses."""
    least = {"use": "openai_http", "urls": [f"http://127.0.0.1:{port}/v1"], "model": "m", "price": "p"}
    backend = HttpOptions.model_validate({**least, "dialect": dialect, **more}).build()
    yield backend
    await backend.aclose()


async def read(reply: Reply) -> bytes:
    async with aclosing(reply.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_whole_answer_is_a_chat_completion(serve: Serve) -> None:
    upstream = await serve(lambda visit: visit.send(answer(json.dumps(RESPONSE).encode())))
    async with opened(upstream.port) as backend:
        reply = await backend.send(call_of())
        body = await read(reply)
    (visit,) = upstream.visits
    assert visit.head.startswith(b"POST /v1/responses HTTP/1.1")
    assert json.loads(visit.body)["max_output_tokens"] == 5
    told = read_reply(body)
    assert told.is_plain
    assert told.usage is not None
    assert told.usage.output == 2
    assert reply.replica == f"127.0.0.1:{upstream.port}"


async def test_messages_are_asked_under_their_own_path_with_their_own_headers(serve: Serve) -> None:
    upstream = await serve(lambda visit: visit.send(answer(json.dumps(MESSAGE).encode())))
    async with opened(upstream.port, "messages", api_key="key-123") as backend:
        assert read_reply(await read(await backend.send(call_of()))).is_plain
    head = upstream.visits[0].head.lower()
    assert head.startswith(b"post /v1/messages ")
    assert b"\r\nx-api-key: key-123\r\n" in head
    assert b"\r\nanthropic-version: 2023-06-01\r\n" in head
    assert b"authorization" not in head


@pytest.mark.parametrize("size", [1, 7, 4_096])
async def test_a_stream_ends_as_a_chat_s_must(serve: Serve, size: int) -> None:
    whole = b"".join(STREAM)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    upstream = await serve(lambda visit: visit.send(chunked(*pieces)))
    async with opened(upstream.port) as backend:
        reader = StreamReader(strip_usage=False)
        told = reader.feed(await read(await backend.send(call_of(stream=True))))
    assert reader.finished
    assert reader.usage is not None
    assert told.count(b'"content":') == 2


async def test_a_stream_that_is_cut_off_is_no_whole_one(serve: Serve) -> None:
    upstream = await serve(lambda visit: visit.send(chunked(*STREAM[:-1])))
    async with opened(upstream.port) as backend:
        reader = StreamReader(strip_usage=False)
        reader.feed(await read(await backend.send(call_of(stream=True))))
    assert reader.has_content
    assert not reader.finished


async def test_a_stream_that_fails_before_its_first_word_may_be_tried_elsewhere(serve: Serve) -> None:
    failed = event("response.failed", response={**RESPONSE, "status": "failed", "error": {"message": "x"}})
    upstream = await serve(lambda visit: visit.send(chunked(STREAM[0], failed)))
    async with opened(upstream.port, commit={"wait": 5}) as backend:
        with pytest.raises(Broken, match="began with an error"):
            await backend.send(call_of(stream=True))


async def test_what_is_no_answer_of_the_dialect_is_a_broken_one(serve: Serve) -> None:
    async def script(visit: Visit) -> None:
        streams = json.loads(visit.body).get("stream")
        await visit.send(chunked(STREAM[1], b"data: {\n\n") if streams else answer(b"<html>"))

    upstream = await serve(script)
    async with opened(upstream.port) as backend:
        with pytest.raises(Broken, match="cannot be read"):
            await backend.send(call_of())
        with pytest.raises(StreamBroken):
            await read(await backend.send(call_of(stream=True, body=BODY[:-1] + b',"stream":true}')))


@pytest.mark.parametrize("dialect", ["responses", "messages"])
async def test_a_stream_that_ends_within_an_event_is_broken(serve: Serve, dialect: str) -> None:
    upstream = await serve(lambda visit: visit.send(chunked(b"event: x\ndata: {")))
    async with opened(upstream.port, dialect) as backend:
        with pytest.raises(StreamBroken, match="cannot be read"):
            await read(await backend.send(call_of(stream=True)))


async def test_what_the_dialect_cannot_say_is_the_caller_s_to_mend_and_nobody_is_asked(serve: Serve) -> None:
    upstream = await serve(lambda visit: visit.send(answer(b"{}")))
    async with opened(upstream.port) as backend:
        with pytest.raises(Rejected) as refused:
            await backend.send(call_of(body=BODY[:-1] + b',"n":2}'))
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["error"]["param"] == "n"
    assert not upstream.visits


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}, "request_id": "x"},
            {"message": "too long", "type": "invalid_request_error", "param": None, "code": None},
        ),
        (
            {"error": {"message": "m", "type": "t", "param": "input", "code": "c", "more": 1}},
            {"message": "m", "type": "t", "param": "input", "code": "c", "more": 1},
        ),
    ],
)
async def test_a_refusal_is_worded_as_openai_does(
    serve: Serve, sent: dict[str, object], told: dict[str, object]
) -> None:
    body = json.dumps(sent).encode()
    upstream = await serve(lambda visit: visit.send(answer(body, status="400 Bad Request")))
    async with opened(upstream.port) as backend:
        with pytest.raises(Rejected) as refused:
            await backend.send(call_of())
    assert json.loads(refused.value.body)["error"] == told


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b'{"type":"error","error":5}', b'{"type":"x"}'])
async def test_a_refusal_of_another_shape_goes_on_as_it_came(serve: Serve, body: bytes) -> None:
    upstream = await serve(lambda visit: visit.send(answer(body, status="422 Unprocessable Content")))
    async with opened(upstream.port) as backend:
        with pytest.raises(Rejected) as refused:
            await backend.send(call_of())
    assert (refused.value.status, refused.value.body) == (422, body)


async def test_calls_of_other_paths_pass_as_they_came(serve: Serve) -> None:
    upstream = await serve(lambda visit: visit.send(answer(b'{"data":[]}')))
    async with opened(upstream.port) as backend:
        assert await read(await backend.send(call_of(path="/embeddings", body=b'{"input":"x"}'))) == b'{"data":[]}'
    assert upstream.visits[0].body == b'{"input":"x"}'


async def test_whoever_leaves_a_stream_closes_it(serve: Serve) -> None:
    left = list[bool]()

    async def script(visit: Visit) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        piece = STREAM[0] + STREAM[1]
        await visit.send(head + b"%x\r\n%b\r\n" % (len(piece), piece))
        await visit.hung_up()
        left.append(True)

    upstream = await serve(script)
    async with opened(upstream.port) as backend:
        reply = await backend.send(call_of(stream=True))
        assert await anext(reply.chunks)
        await reply.chunks.aclose()
        async with asyncio.timeout(2):  # far from the call's own deadline
            while not left:
                await asyncio.sleep(0.01)
