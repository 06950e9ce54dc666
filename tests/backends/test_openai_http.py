"""Tests backends/openai_http.py: what each answer of a server means."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from backends.base import Broken, Call, DeadlineExceeded, FirstTokenTimeout, Overloaded, Rejected, Reply
from backends.openai_http import Access, OpenAIHttp, retry_after_of, servers_of
from backends.pool import Spans
from tests.backends.conftest import Script, Serve, Upstream, Visit, answer, chunked

Open = Callable[..., OpenAIHttp]


@pytest.fixture
async def open_backend() -> AsyncGenerator[Open]:
    """Open a backend over a server."""
    async with AsyncExitStack() as stack:

        def open_one(
            upstream: Upstream, *, api_key: str | None = None, first_byte: float = 5.0, sends_cache_salt: bool = False
        ) -> OpenAIHttp:
            spans = Spans(connect=1.0, first_byte=first_byte, idle=5.0)
            access = Access(api_key=api_key, spans=spans, sends_cache_salt=sends_cache_salt)
            backend = OpenAIHttp(f"http://127.0.0.1:{upstream.port}/v1", access)
            stack.push_async_callback(backend.aclose)
            return backend

        yield open_one


def call(*, stream: bool = False, within: float = 5.0, request_id: str = "req-1", salt: str = "") -> Call:
    return Call(
        path="/chat/completions",
        body=b'{"model": "m"}',
        stream=stream,
        deadline=time.monotonic() + within,
        request_id=request_id,
        salt=salt,
    )


async def text(reply: Reply) -> bytes:
    async with aclosing(reply.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


def always(message: bytes) -> Script:
    async def script(visit: Visit) -> None:
        await visit.send(message)

    return script


async def test_an_unstreamed_reply_is_one_chunk(serve: Serve, open_backend: Open) -> None:
    async def script(visit: Visit) -> None:
        message = chunked(b'{"id"', b":1}", media=b"application/json")
        await visit.send(message[:-15], message[-15:], gap=0.05)

    upstream = await serve(script)
    reply = await open_backend(upstream).send(call())
    assert (reply.media_type, reply.replica) == ("application/json", f"127.0.0.1:{upstream.port}")
    assert [chunk async for chunk in reply.chunks] == [b'{"id":1}']
    [visit] = upstream.visits
    assert visit.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert visit.body == b'{"model": "m"}'
    lines = visit.head.split(b"\r\n")
    assert {b"content-type: application/json", b"accept: application/json", b"x-request-id: req-1"} <= set(lines)
    assert not any(line.startswith(b"authorization") for line in lines)


async def test_a_streamed_reply_begins_with_its_first_byte(serve: Serve, open_backend: Open) -> None:
    rest = asyncio.Event()

    async def script(visit: Visit) -> None:
        message = chunked(b"data: 1\n\n", b"data: [DONE]\n\n")
        middle = message.index(b"data: [") - 3
        await visit.send(message[:middle])
        await rest.wait()
        await visit.send(message[middle:])

    upstream = await serve(script)
    reply = await open_backend(upstream, api_key="k-1").send(call(stream=True))
    assert reply.media_type == "text/event-stream"
    assert b"\r\naccept: text/event-stream\r\n" in upstream.visits[0].head
    assert b"\r\nauthorization: Bearer k-1\r\n" in upstream.visits[0].head
    assert await anext(reply.chunks) == b"data: 1\n\n"
    rest.set()
    assert await text(reply) == b"data: [DONE]\n\n"


@pytest.mark.parametrize("request_id", ["a\r\nx-evil: 1", "a\n", "caf\u00e9", ""])
async def test_a_request_id_makes_no_header_of_its_own(serve: Serve, open_backend: Open, request_id: str) -> None:
    upstream = await serve(always(answer(b"{}")))
    await text(await open_backend(upstream).send(call(request_id=request_id)))
    assert b"evil" not in upstream.visits[0].head


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "529 Overloaded"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_without_room_is_overloaded(
    serve: Serve, open_backend: Open, status: str, *, stream: bool
) -> None:
    upstream = await serve(always(answer(b"{}", status=status, headers=b"Retry-After: 7\r\n")))
    with pytest.raises(Overloaded) as caught:
        await open_backend(upstream).send(call(stream=stream))
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_its_own_4xx_is_rejected_with_the_body_as_it_came(serve: Serve, open_backend: Open, status: int) -> None:
    body = b'{"error":{"message":"no"}}'
    upstream = await serve(
        always(chunked(body[:9], body[9:], media=b"application/json").replace(b"200", b"%d" % status))
    )
    for stream in (False, True):
        with pytest.raises(Rejected) as caught:
            await open_backend(upstream).send(call(stream=stream))
        assert (caught.value.status, caught.value.body) == (status, body)
        assert caught.value.media_type == "application/json"
        assert not caught.value.retryable


@pytest.mark.parametrize("status", [302, 304, 401, 403, 500, 502, 504, 599])
async def test_anything_else_is_broken_and_keeps_its_status(serve: Serve, open_backend: Open, status: int) -> None:
    upstream = await serve(always(answer(b"").replace(b"200", b"%d" % status)))
    with pytest.raises(Broken) as caught:
        await open_backend(upstream).send(call())
    assert caught.value.status == status


@pytest.mark.parametrize("stream", [False, True])
async def test_a_success_without_a_body_is_broken(serve: Serve, open_backend: Open, *, stream: bool) -> None:
    for message in (answer(b""), chunked(), b"HTTP/1.1 204 No Content\r\n\r\n"):
        with pytest.raises(Broken, match="no body"):
            await open_backend(await serve(always(message))).send(call(stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_compressed_answer_that_nobody_asked_for_is_broken(
    serve: Serve, open_backend: Open, *, stream: bool
) -> None:
    upstream = await serve(always(answer(b"\x1f\x8b", headers=b"content-encoding: gzip\r\n")))
    with pytest.raises(Broken, match="gzip"):
        await open_backend(upstream).send(call(stream=stream))


async def test_times_that_are_over_are_told_apart(serve: Serve, open_backend: Open) -> None:
    backend = open_backend(await serve(Visit.hung_up), first_byte=0.2)
    with pytest.raises(FirstTokenTimeout):
        await backend.send(call())
    with pytest.raises(DeadlineExceeded):
        await backend.send(call(within=0.1))


async def test_an_unstreamed_caller_who_leaves_is_seen_by_the_server(serve: Serve, open_backend: Open) -> None:
    upstream = await serve(Visit.hung_up)
    backend = open_backend(upstream)
    caller = asyncio.create_task(backend.send(call()))
    await asyncio.sleep(0.1)
    caller.cancel()
    _, still_there = await asyncio.wait(upstream.running, timeout=1)
    assert not still_there


async def test_the_salt_goes_to_servers_that_take_one(serve: Serve, open_backend: Open) -> None:
    upstream = await serve(always(answer(b"{}")))
    for backend, salt in ((open_backend(upstream, sends_cache_salt=True), "a1"), (open_backend(upstream), "a1")):
        await text(await backend.send(call(salt=salt)))
    await text(await open_backend(upstream, sends_cache_salt=True).send(call()))
    assert [visit.body for visit in upstream.visits] == [
        b'{"cache_salt":"a1","model": "m"}',
        b'{"model": "m"}',
        b'{"model": "m"}',
    ]


def by_path(**answers: bytes) -> Script:
    async def script(visit: Visit) -> None:
        name = visit.head.split(b" ")[1].decode().rsplit("/", 1)[1]
        await visit.send(answers.get(name, answer(b"", status="404 Not Found")))

    return script


async def test_readiness_is_asked_of_health_and_then_of_models(serve: Serve, open_backend: Open) -> None:
    fine, broken = answer(b""), answer(b"", status="503 Service Unavailable")
    for answers, ready in (
        ({"health": fine}, True),
        ({"models": fine}, True),
        ({"health": broken, "models": fine}, False),
        ({}, False),
    ):
        upstream = await serve(by_path(**answers))
        assert await open_backend(upstream, api_key="k").is_ready() is ready
        assert all(visit.head.startswith((b"GET /health ", b"GET /v1/models ")) for visit in upstream.visits)


async def test_a_silent_or_absent_server_is_not_ready_within_a_second(serve: Serve, open_backend: Open) -> None:
    silent, absent = await serve(Visit.hung_up), await serve(Visit.hung_up)
    await absent.close()
    began = time.monotonic()
    assert await asyncio.gather(*(open_backend(each).is_ready() for each in (silent, absent))) == [False, False]
    assert time.monotonic() - began < 1.5


async def test_servers_have_names_of_their_own() -> None:
    urls = ["http://a/v1", "http://b:8000/v1", "http://b:8000/other/v1"]
    servers = servers_of(urls, Access())
    assert [server.name for server in servers] == ["a:80", "b:8000/v1", "b:8000/other/v1"]
    for server in servers:
        await server.aclose()


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def http_date(moment: datetime) -> bytes:
    return format_datetime(moment, usegmt=True).encode()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"7", 7.0),
        (b"1.5", 1.5),
        (b"120", 120.0),
        (b"86400", 120.0),
        (b"9" * 5000, 120.0),
        (http_date(NOON + timedelta(seconds=30)), 30.0),
        (http_date(NOON + timedelta(days=30)), 120.0),
        (http_date(NOON - timedelta(seconds=30)), 0.0),
        (b"", None),
        (b"-5", None),
        (b"nan", None),
        (b"inf", None),
        (b"1e3", None),
        (b"soon", None),
        (b"\xff\xfe", None),
        (b"Mon, 99 Foo 2026 99:99:99 GMT", None),
        (b"Mon, 01 Jan 999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_is_clamped(value: bytes, seconds: float | None) -> None:
    assert retry_after_of({b"retry-after": value, b"date": http_date(NOON)}) == seconds


def test_a_date_is_compared_with_the_wall_clock_where_the_answer_has_none() -> None:
    soon = retry_after_of({b"retry-after": http_date(datetime.now(UTC) + timedelta(seconds=60))})
    assert soon is not None
    assert 55.0 < soon <= 60.0
    assert retry_after_of({}) is None
