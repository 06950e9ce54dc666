"""Tests backends/engines/serving/completions.py and backends/engines/serving/passing.py over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx2
import pytest

from backends.engines.base import Ask
from backends.engines.serving import completions
from tests.backends.engines.serving.scripted import (
    DONE,
    Front,
    Open,
    ScriptedEngine,
    breaking,
    chunk,
    endless,
    event,
    fluent,
    usage,
)

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"


async def eventually(condition: Callable[[], bool], *, within: float = 1.0) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, f"still not so after {within} s"
        await asyncio.sleep(0.002)


def events_of(body: bytes) -> list[Any]:
    assert body.endswith(DONE)
    return [json.loads(line[6:]) for line in body.removesuffix(DONE).split(b"\n\n") if line]


async def hang_up(front: Front, body: dict[str, Any], condition: Callable[[], bool]) -> None:
    """Ask, wait for something, and leave."""
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    content = json.dumps({"messages": MESSAGES, **body}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(content) + content)
    await eventually(condition)
    writer.close()
    await writer.wait_closed()


async def heard_until_it_broke(front: Front) -> bytes:
    heard = b""
    try:
        async with front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}) as answer:
            async for piece in answer.aiter_bytes():
                heard += piece
    except httpx2.RemoteProtocolError:
        return heard
    raise AssertionError("it ended as if it were whole")


async def test_a_whole_answer_comes_as_the_engine_gave_it(serve: Open) -> None:
    engine = ScriptedEngine()
    front = await serve(engine)
    answer = await front.client.post(CHAT, json={"messages": MESSAGES, "seed": 3}, headers={"x-request-id": "mine"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["choices"][0]["message"]["content"] == "a b c"
    assert answer.json()["usage"] == usage()
    assert engine.asks[0].request_id == "mine"
    assert bytes(engine.asks[0].fields["seed"]) == b"3"


async def test_an_id_that_is_not_plain_is_not_taken(serve: Open) -> None:
    engine = ScriptedEngine()
    front = await serve(engine)
    for sent in (b"x" * 129, b"\xe4", b""):
        answer = await front.client.post(CHAT, json={"messages": MESSAGES}, headers={b"x-request-id": sent})
        assert len(answer.headers["x-request-id"]) == 24


async def test_a_stream_goes_on_as_it_comes_and_usage_only_to_who_wants_it(serve: Open) -> None:
    engine = ScriptedEngine()
    front = await serve(engine)
    body = {"messages": MESSAGES, "stream": True}
    silent = await front.client.post(CHAT, json=body)
    told = await front.client.post(CHAT, json={**body, "stream_options": {"include_usage": True}})
    assert silent.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [chunk["choices"][0]["delta"].get("content") for chunk in events_of(silent.content)] == [
        "a",
        " b",
        " c",
        None,
    ]
    assert events_of(told.content)[:-1] == events_of(silent.content)
    assert events_of(told.content)[-1] == {"choices": [], "usage": usage()}
    assert [ask.wants_usage for ask in engine.asks] == [True, True]  # it is counted in any case
    assert front.metrics.generation_tokens == 6
    assert front.metrics.prompt_tokens == 10


async def test_the_first_piece_goes_on_before_the_second_is_there(serve: Open) -> None:
    waits = asyncio.Event()

    async def slow(ask: Ask) -> AsyncGenerator[bytes, None]:
        yield chunk("a")
        await waits.wait()
        yield chunk("", reason="stop")
        yield DONE

    front = await serve(ScriptedEngine(slow))
    async with front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}) as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == chunk("a")
        waits.set()
        assert b"".join([piece async for piece in pieces]).endswith(DONE)


async def test_text_completions_are_asked_for_at_their_own_path(serve: Open) -> None:
    engine = ScriptedEngine()
    answer = await (await serve(engine)).client.post("/v1/completions", json={"prompt": "hi"})
    assert answer.status_code == 200
    assert engine.asks[0].path == "/completions"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_frees_the_engine_and_his_place(serve: Open, stream: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    engine = ScriptedEngine(endless)
    front = await serve(engine, places=1)
    for count in range(1, 4):
        await hang_up(front, {"stream": stream}, lambda: engine.open_replies == 1)
        await eventually(lambda: engine.open_replies == 0 and front.admission.running == 0)
        assert front.metrics.finished == {"abort": count}


async def test_a_caller_who_leaves_while_he_waits_is_never_computed(serve: Open) -> None:
    engine = ScriptedEngine(endless)
    front = await serve(engine, places=1)
    async with front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}):
        await hang_up(front, {}, lambda: front.admission.waiting == 1)
        await eventually(lambda: front.admission.waiting == 0)
        assert len(engine.asks) == 1


async def test_a_caller_with_a_large_body_is_seen_leaving_too(serve: Open) -> None:
    engine = ScriptedEngine(endless)
    front = await serve(engine)
    await hang_up(front, {"user": "x" * 300_000}, lambda: engine.open_replies == 1)
    await eventually(lambda: engine.open_replies == 0)


async def test_beyond_places_and_queue_there_is_429_with_its_time(serve: Open) -> None:
    engine = ScriptedEngine(endless)
    front = await serve(engine, places=1, queue=2)
    body = {"messages": MESSAGES, "stream": True}
    waiting = [asyncio.create_task(front.client.post(CHAT, json=body)) for _ in range(3)]
    await eventually(lambda: front.admission.waiting == 2)
    refused = await front.client.post(CHAT, json=body)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
    assert front.metrics.refused == {"queue_full": 1}
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await eventually(lambda: front.admission.running == front.admission.waiting == 0)


async def test_several_answers_take_several_places(serve: Open) -> None:
    engine = ScriptedEngine(endless)
    front = await serve(engine, places=4)
    await hang_up(front, {"n": 3, "stream": True}, lambda: front.admission.running == 3)
    await eventually(lambda: front.admission.running == 0)
    engine.script = fluent
    answer = await front.client.post(CHAT, json={"messages": MESSAGES, "n": 4})
    assert len(answer.json()["choices"]) == 4
    refused = await front.client.post(CHAT, json={"messages": MESSAGES, "n": 10_000})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")
    assert len(engine.asks) == 2


async def test_an_engine_that_breaks_in_a_stream_ends_it_with_an_error_and_no_clean_end(serve: Open) -> None:
    front = await serve(ScriptedEngine(breaking))
    heard = await heard_until_it_broke(front)
    events = [json.loads(line[6:]) for line in heard.split(b"\n\n") if line]
    assert events[0]["choices"][0]["delta"] == {"content": "a"}
    assert events[1]["error"]["code"] == "engine_error"
    assert len(events) == 2
    assert front.metrics.finished == {"error": 1}
    assert front.admission.running == 0


async def test_an_error_that_the_engine_told_itself_is_told_once(serve: Open) -> None:
    async def failing(ask: Ask) -> AsyncGenerator[bytes, None]:
        yield chunk("a")
        yield event({"error": {"message": "out of memory"}})

    front = await serve(ScriptedEngine(failing))
    heard = await heard_until_it_broke(front)
    assert heard.count(b'"error"') == 1


async def test_a_whole_answer_that_is_cut_is_an_error(serve: Open) -> None:
    async def cut(ask: Ask) -> AsyncGenerator[bytes, None]:
        yield b'{"choices": [{"index": 0, "finish_reason": null}]}'

    answer = await (await serve(ScriptedEngine(cut))).client.post(CHAT, json={"messages": MESSAGES})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")


async def test_an_engine_that_falls_silent_is_given_up(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "IDLE_WITHIN", 0.1)
    stuck = asyncio.Event()

    async def silent(ask: Ask) -> AsyncGenerator[bytes, None]:
        yield chunk("a")
        await stuck.wait()

    engine = ScriptedEngine(silent)
    front = await serve(engine)
    with pytest.raises(httpx2.RemoteProtocolError):
        await front.client.post(CHAT, json={"messages": MESSAGES, "stream": True})
    assert engine.open_replies == front.admission.running == 0


async def test_a_caller_who_does_not_read_is_given_up(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "IDLE_WITHIN", 0.2)
    monkeypatch.setattr(completions, "LAST_WORD_WITHIN", 0.1)

    async def flood(ask: Ask) -> AsyncGenerator[bytes, None]:
        while True:
            yield chunk("a" * 60_000)

    engine = ScriptedEngine(flood)
    front = await serve(engine, places=1)
    _, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1024)
    content = json.dumps({"messages": MESSAGES, "stream": True}).encode()
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(content), content)
    )
    await eventually(lambda: engine.open_replies == 1)
    await eventually(lambda: engine.open_replies == 0 and front.admission.running == 0, within=3.0)
    writer.close()


async def test_a_prompt_without_room_is_refused_before_anything_runs(serve: Open) -> None:
    engine = ScriptedEngine(context=100, tokens=100)
    front = await serve(engine)
    for body in ({"max_tokens": 101}, {"messages": [{"role": "user", "content": "x" * 200}]}):
        answer = await front.client.post(CHAT, json={"messages": MESSAGES, **body})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert engine.asks == []


async def test_a_body_beyond_the_cap_is_not_read_on(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "MAX_BODY", 1000)
    answer = await (await serve(ScriptedEngine())).client.post(CHAT, content=b"x" * 1001)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_body_that_does_not_come_is_not_waited_for(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "BODY_WITHIN", 0.05)
    front = await serve(ScriptedEngine())
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{" % CHAT.encode())
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_an_event_without_end_is_not_kept(serve: Open) -> None:
    async def babble(ask: Ask) -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x" * 500_000

    front = await serve(ScriptedEngine(babble))
    with pytest.raises(httpx2.RemoteProtocolError):
        await front.client.post(CHAT, json={"messages": MESSAGES, "stream": True})
