"""Tests backends/openai_http.py: what each answer of a server means."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from backends.base import Broken, Call, ConnectFailed, DeadlineExceeded, FirstTokenTimeout, Overloaded, Rejected, Reply
from backends.openai_http import OpenAIHttp, retry_after_of
from tests.backends.conftest import Script, Serve, Upstream, Visit, answer, chunked

Open = Callable[..., OpenAIHttp]


@pytest.fixture
async def open_backend() -> AsyncGenerator[Open]:
    """Open backends over the given servers."""
    async with AsyncExitStack() as stack:

        def open_one(
            *upstreams: Upstream, api_key: str | None = None, first_byte: float = 5.0, sends_cache_salt: bool = False
        ) -> OpenAIHttp:
            backend = OpenAIHttp(
                [f"http://127.0.0.1:{upstream.port}/v1" for upstream in upstreams],
                api_key=api_key,
                connect_timeout=1.0,
                first_byte_timeout=first_byte,
                idle_timeout=5.0,
                sends_cache_salt=sends_cache_salt,
            )
            stack.push_async_callback(backend.aclose)
            return backend

        yield open_one


def call(
    *,
    stream: bool = False,
    within: float = 5.0,
    request_id: str = "req-1",
    holder: Upstream | None = None,
    matched: float = 1.0,
    salt: str = "",
) -> Call:
    return Call(
        path="/chat/completions",
        body=b'{"model": "m"}',
        stream=stream,
        deadline=time.monotonic() + within,
        request_id=request_id,
        holder="" if holder is None else f"127.0.0.1:{holder.port}",
        matched=0.0 if holder is None else matched,
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


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
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


async def test_replicas_take_turns(serve: Serve, open_backend: Open) -> None:
    upstreams = [await serve(always(answer(b"{}"))) for _ in range(3)]
    backend = open_backend(*upstreams)
    for _ in range(9):
        await text(await backend.send(call()))
    assert [len(upstream.visits) for upstream in upstreams] == [3, 3, 3]
    assert repr(backend).count("0 in flight, 1 idle") == 3


async def test_a_replica_that_cannot_be_reached_is_left_out_for_a_moment(
    serve: Serve, open_backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = await serve(always(answer(b"{}"))), await serve(always(answer(b"{}")))
    await dead.close()
    backend = open_backend(dead, alive)
    failed = 0
    for _ in range(10):
        try:
            await text(await backend.send(call()))
        except ConnectFailed:
            failed += 1
    assert (failed, len(alive.visits)) == (1, 9)
    now = time.monotonic()
    monkeypatch.setattr("backends.openai_http.monotonic", lambda: now + 60.0)
    await dead.open()
    for _ in range(4):
        await text(await backend.send(call()))
    assert len(dead.visits) == 2


async def begin_calls(backend: OpenAIHttp, count: int) -> list[asyncio.Task[Reply]]:
    """Return calls that all have a connection, and that nobody answers."""
    pools = [replica.pool for replica in backend._replicas]
    before = sum(len(pool.in_flight) for pool in pools)
    calls = [asyncio.create_task(backend.send(call())) for _ in range(count)]
    while sum(len(pool.in_flight) for pool in pools) < before + count:
        await asyncio.sleep(0.01)
    return calls


async def end_calls(calls: list[asyncio.Task[Reply]]) -> None:
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_who_holds_the_prefix_is_asked_again(serve: Serve, open_backend: Open) -> None:
    upstreams = [await serve(always(answer(b"{}"))) for _ in range(3)]
    backend = open_backend(*upstreams)
    for _ in range(9):
        await text(await backend.send(call(holder=upstreams[1], matched=0.3)))
    assert [len(upstream.visits) for upstream in upstreams] == [0, 9, 0]


async def test_calls_at_the_same_time_go_to_the_least_loaded(serve: Serve, open_backend: Open) -> None:
    upstreams = [await serve(Visit.hung_up) for _ in range(3)]
    backend = open_backend(*upstreams)
    calls = await begin_calls(backend, 12)
    assert [replica.load for replica in backend._replicas] == [4, 4, 4]
    await end_calls(calls[:4])
    assert sum(replica.load for replica in backend._replicas) == 8
    more = await begin_calls(backend, 4)
    assert [replica.load for replica in backend._replicas] == [4, 4, 4], "also where they were not all ended in turn"
    await end_calls([*calls[4:], *more])
    assert [replica.load for replica in backend._replicas] == [0, 0, 0]


async def test_a_stream_that_goes_on_is_load(serve: Serve, open_backend: Open) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(chunked(b"data: 1\n\n")[:-5])
        await visit.hung_up()

    upstreams = [await serve(script) for _ in range(2)]
    backend = open_backend(*upstreams)
    replies = [await backend.send(call(stream=True, holder=upstreams[0])) for _ in range(4)]
    assert [replica.load for replica in backend._replicas] == [4, 0]
    replies += [await backend.send(call(stream=True)) for _ in range(4)]
    assert [replica.load for replica in backend._replicas] == [4, 4]
    for reply in replies:
        await reply.chunks.aclose()
    assert [replica.load for replica in backend._replicas] == [0, 0]


async def test_a_busy_holder_is_passed_over(serve: Serve, open_backend: Open) -> None:
    upstreams = [await serve(Visit.hung_up) for _ in range(3)]
    backend = open_backend(*upstreams)
    calls = [asyncio.create_task(backend.send(call(holder=upstreams[0]))) for _ in range(60)]
    await asyncio.sleep(0.2)
    busiest, *others = (replica.load for replica in backend._replicas)
    assert busiest < 60 / 3 * 2 + 5
    assert min(others) > 60 / 3 / 2
    await end_calls(calls)


async def test_a_holder_that_cannot_be_reached_is_left_out(serve: Serve, open_backend: Open) -> None:
    gone, alive = await serve(always(answer(b"{}"))), await serve(always(answer(b"{}")))
    await gone.close()
    backend = open_backend(gone, alive)
    with pytest.raises(ConnectFailed):
        await backend.send(call(holder=gone))
    for _ in range(3):
        await text(await backend.send(call(holder=gone)))
    assert len(alive.visits) == 3


async def test_a_holder_without_room_is_left_out_for_a_moment(
    serve: Serve, open_backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = answer(b"{}", status="429 Too Many Requests", headers=b"Retry-After: 60\r\n")
    full, alive = await serve(always(refusal)), await serve(always(answer(b"{}")))
    backend = open_backend(full, alive)
    with pytest.raises(Overloaded):
        await backend.send(call(holder=full))
    for _ in range(3):
        await text(await backend.send(call(holder=full)))
    assert (len(full.visits), len(alive.visits)) == (1, 3)
    now = time.monotonic()
    monkeypatch.setattr("backends.openai_http.monotonic", lambda: now + 2.1)
    with pytest.raises(Overloaded):
        await backend.send(call(holder=full))


async def test_a_holder_that_is_no_replica_of_ours_changes_nothing(serve: Serve, open_backend: Open) -> None:
    upstreams = [await serve(always(answer(b"{}"))) for _ in range(2)]
    elsewhere = await serve(always(answer(b"{}")))
    backend = open_backend(*upstreams)
    for _ in range(4):
        await text(await backend.send(call(holder=elsewhere)))
    assert [len(upstream.visits) for upstream in upstreams] == [2, 2]


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


async def test_the_last_replica_is_never_left_out(serve: Serve, open_backend: Open) -> None:
    upstream = await serve(always(answer(b"{}")))
    backend = open_backend(upstream)
    await upstream.close()
    for _ in range(2):
        with pytest.raises(ConnectFailed):
            await backend.send(call())
    await upstream.open()
    assert await text(await backend.send(call())) == b"{}"


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
    silent, absent, ready = await serve(Visit.hung_up), await serve(Visit.hung_up), await serve(always(answer(b"")))
    await absent.close()
    began = time.monotonic()
    without, with_one = open_backend(silent, absent), open_backend(silent, absent, ready)
    found = await asyncio.gather(without.is_ready(), with_one.is_ready())
    assert tuple(found) == (False, True)
    assert time.monotonic() - began < 1.5


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
