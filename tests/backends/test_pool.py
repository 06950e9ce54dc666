"""Tests backends/pool.py: every fault with a real socket."""

import asyncio
import socket
import time
from contextlib import ExitStack, aclosing, suppress

import pytest
import uvloop

from backends.base import (
    BackendError,
    Broken,
    ConnectFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    StreamBroken,
)
from backends.pool import MAX_HEAD, MAX_UNREAD, MAX_WHOLE, Answer, Pool
from tests.backends.conftest import Connect, Serve, Upstream, Visit, answer, chunked

HEADERS = b"content-type: application/json\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def ask(pool: Pool, body: bytes = b"{}", *, within: float = 5.0, whole: bool = False) -> Answer:
    return await pool.send("POST", "/v1/chat", HEADERS, body, deadline=time.monotonic() + within, whole=whole)


async def text(given: Answer) -> bytes:
    async with aclosing(given.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def echo(visit: Visit) -> None:
    await visit.send(answer(visit.body))


async def until_hung_up(upstream: Upstream) -> float:
    """Return the seconds until the server has seen the client leave all its connections."""
    began = time.monotonic()
    if upstream.running:
        _, still_there = await asyncio.wait(upstream.running, timeout=5)
        assert not still_there
    return time.monotonic() - began


async def test_a_request_goes_out_as_it_was_given_and_its_answer_comes_back(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    given = await ask(connect(upstream), b'{"a": 1}', whole=True)
    assert (given.status, given.media_type, given.is_success) == (200, "application/json", True)
    assert [chunk async for chunk in given.chunks] == [b'{"a": 1}']
    head = upstream.visits[0].head
    assert head.startswith(b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % upstream.port)
    assert b"\r\naccept-encoding: identity\r\n" in head
    assert b"\r\ncontent-type: application/json\r\n" in head


async def test_a_whole_answer_is_one_chunk_however_it_came(serve: Serve, connect: Connect) -> None:
    async def drip(visit: Visit) -> None:
        await visit.send(*(bytes([byte]) for byte in chunked(b"one", b"two", b"three")))

    given = await ask(connect(await serve(drip)), whole=True)
    assert [chunk async for chunk in given.chunks] == [b"onetwothree"]


async def test_chunks_are_there_as_soon_as_they_came(serve: Serve, connect: Connect) -> None:
    second = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await second.wait()
        await visit.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with aclosing((await ask(connect(await serve(script)))).chunks) as chunks:
        assert await anext(chunks) == b"one"
        second.set()
        assert await anext(chunks) == b"two"
        assert await anext(chunks, None) is None
        assert await anext(chunks, None) is None


async def test_a_thousand_requests_at_concurrency_64_share_64_connections(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    pool = connect(upstream)

    async def client(name: int) -> None:
        for number in range(16):
            body = b"%d/%d" % (name, number)
            assert await text(await ask(pool, body, whole=number % 2 == 0)) == body

    async with asyncio.timeout(10):
        await asyncio.gather(*(client(name) for name in range(64)))
    assert len(upstream.visits) == 1024
    assert upstream.opened == pool.opened <= 64
    assert (
        repr(pool)
        == f"<Pool 127.0.0.1:{upstream.port}: 0 in flight, {pool.opened} idle, {pool.opened} opened, 1024 sent>"
    )


async def test_one_connection_serves_hundreds_of_requests(serve: Serve, connect: Connect) -> None:
    pool = connect(await serve(echo))
    for _ in range(300):
        await text(await ask(pool))
    assert pool.opened == 1


async def test_an_unread_answer_is_safe_from_the_next_on_its_connection(serve: Serve, connect: Connect) -> None:
    pool = connect(await serve(echo))
    unread = [await ask(pool, b"%d" % number) for number in range(8)]
    assert pool.opened == 1
    assert [await text(given) for given in unread] == [b"%d" % number for number in range(8)]


async def test_the_connection_used_last_is_used_first(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await asyncio.sleep(0.1 * (visit.body == b"slow"))
        await echo(visit)

    upstream = await serve(script)
    pool = connect(upstream)
    await asyncio.gather(ask(pool, b"slow"), ask(pool))
    for _ in range(3):
        await ask(pool)
    slow = next(visit for visit in upstream.visits if visit.body == b"slow")
    assert all(visit.writer is slow.writer for visit in upstream.visits[2:])


async def test_trailers_change_no_header(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(chunked(b"one")[:-2] + b"content-type: text/other\r\n\r\n")

    assert (await ask(connect(await serve(script)), whole=True)).media_type == "text/event-stream"


async def test_a_server_that_answers_before_it_has_read_all_gets_no_second_request() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"", status="413 Too Large"))
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    pool = Pool("127.0.0.1", server.sockets[0].getsockname()[1])
    assert (await ask(pool, bytes(32 << 20))).status == 413
    assert "0 in flight, 0 idle, 1 opened" in repr(pool)
    await pool.aclose()
    server.close()


async def test_a_server_that_closes_after_each_answer_is_believed(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(visit.body, headers=b"connection: close\r\n"))
        await visit.hung_up()  # it says that it closes, and then leaves that to the client

    pool = connect(await serve(script))
    for number in range(5):
        assert await text(await ask(pool, b"%d" % number, within=1.0)) == b"%d" % number
    assert pool.opened == 5


async def test_a_kept_connection_that_went_stale_is_replaced_once(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        if len(upstream.visits) % 2:
            await visit.send(answer(visit.body))
        else:
            visit.writer.transport.abort()  # the second request on each connection finds it gone

    upstream = await serve(script)
    pool = connect(upstream)
    assert await text(await ask(pool, b"first")) == b"first"
    assert await text(await ask(pool, b"second")) == b"second"
    assert [visit.body for visit in upstream.visits] == [b"first", b"second", b"second"]


async def test_a_new_connection_that_is_closed_without_an_answer_is_not_tried_again(
    serve: Serve, connect: Connect
) -> None:
    async def script(visit: Visit) -> None:
        visit.writer.close()

    upstream = await serve(script)
    with pytest.raises(ConnectFailed, match="before any byte"):
        await ask(connect(upstream))
    assert len(upstream.visits) == 1


async def test_a_stale_connection_is_not_replaced_once_a_byte_has_come(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        if len(upstream.visits) == 1:
            await visit.send(answer(b"fine"))
        else:
            await visit.send(b"HTTP/1.1 200")
            visit.writer.close()

    upstream = await serve(script)
    pool = connect(upstream)
    await text(await ask(pool))
    with pytest.raises(Broken):
        await ask(pool)
    assert len(upstream.visits) == 2


async def test_nobody_listening_is_connect_failed(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    await upstream.close()
    with pytest.raises(ConnectFailed, match="no connection"):
        await ask(connect(upstream))


async def test_a_silent_server_is_a_first_token_timeout(serve: Serve, connect: Connect) -> None:
    async def head_only(visit: Visit) -> None:
        await visit.send(HEAD)
        await visit.hung_up()

    for script in (Visit.hung_up, head_only):
        upstream = await serve(script)
        pool = connect(upstream, first_byte=0.2)
        began = time.monotonic()
        with pytest.raises(FirstTokenTimeout):
            await ask(pool)
        assert 0.2 <= time.monotonic() - began < 0.6
        assert await until_hung_up(upstream) < 1.0


async def test_a_server_that_stops_in_the_middle_is_an_idle_timeout(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    upstream = await serve(script)
    chunks = (await ask(connect(upstream, idle=0.2))).chunks
    assert await anext(chunks) == b"one"
    with pytest.raises(IdleTimeout):
        await anext(chunks)
    assert await until_hung_up(upstream) < 1.0


async def test_a_dripping_server_meets_the_deadline_and_not_the_idle_timeout(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD, *([b"1\r\nx\r\n"] * 100), gap=0.05)

    for whole in (False, True):
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await text(await ask(connect(await serve(script), idle=0.3), within=0.6, whole=whole))
        assert 0.6 <= time.monotonic() - began < 1.0


async def test_a_deadline_that_has_passed_sends_nothing(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    pool = connect(upstream)
    for expected in (0, 1):
        with pytest.raises(DeadlineExceeded):
            await ask(pool, within=-1.0)
        assert len(upstream.visits) == expected
        await ask(pool)


async def test_a_server_that_does_not_accept_fails_within_the_connect_timeout() -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listening.getsockname()[1]
        for _ in range(4):  # fill the queue
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        pool = Pool("127.0.0.1", port)
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match=r"1\.0 s"):
            await ask(pool)
        assert 0.9 < time.monotonic() - began < 1.5
        with pytest.raises(DeadlineExceeded):
            await ask(pool, within=0.1)
        await pool.aclose()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_caller_is_seen_by_the_server_within_a_second(
    serve: Serve, connect: Connect, *, begun: bool
) -> None:
    async def script(visit: Visit) -> None:
        if begun:
            await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    async def call() -> None:
        await text(await ask(pool))

    upstream = await serve(script)
    pool = connect(upstream)
    caller = asyncio.create_task(call())
    await asyncio.sleep(0.1)
    caller.cancel()
    assert await until_hung_up(upstream) < 1.0
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not pool.in_flight


@pytest.mark.parametrize("started", [False, True])
async def test_an_answer_closed_early_is_seen_by_the_server_within_a_second(
    serve: Serve, connect: Connect, *, started: bool
) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    upstream = await serve(script)
    pool = connect(upstream)
    given = await ask(pool)
    if started:
        await anext(given.chunks)
    await given.chunks.aclose()
    assert await until_hung_up(upstream) < 1.0
    assert not pool.in_flight
    assert await anext(given.chunks, None) is None


async def test_a_cancelled_connect_leaves_nothing_open(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    pool = connect(upstream)
    for turns in range(6):
        caller = asyncio.create_task(ask(pool))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
    await pool.aclose()
    assert await until_hung_up(upstream) < 1.0


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("message", [chunked(b"one", b"two"), answer(b"onetwo")], ids=["chunked", "counted"])
async def test_a_cut_at_any_byte_is_never_a_clean_end(
    serve: Serve, connect: Connect, *, message: bytes, whole: bool
) -> None:
    cut = 0

    async def script(visit: Visit) -> None:
        await visit.send(message[:cut])
        visit.writer.close()

    pool = connect(await serve(script))
    for cut in range(len(message)):
        with pytest.raises(BackendError) as caught:
            await text(await ask(pool, whole=whole))
        begun = cut > message.index(b"\r\n\r\n") + (7 if b"chunked" in message else 4)
        assert isinstance(caught.value, StreamBroken if begun else ConnectFailed if cut == 0 else Broken), cut


async def test_pieces_that_came_before_a_cut_are_given_before_the_error(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n", b"3\r\ntw", gap=0.05)
        visit.writer.close()

    chunks = (await ask(connect(await serve(script)))).chunks
    await asyncio.sleep(0.2)
    assert await anext(chunks) == b"onetw"
    for _ in range(2):  # an error is not forgotten: asking again gives no clean end
        with pytest.raises(StreamBroken):
            await anext(chunks)


async def test_an_answer_without_a_length_ends_where_the_connection_does(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.0 200 OK\r\n\r\nall of", b" it", gap=0.05)
        visit.writer.close()

    for whole in (False, True):
        assert await text(await ask(connect(await serve(script)), whole=whole)) == b"all of it"


async def test_an_answer_without_a_length_is_broken_by_a_reset(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.0 200 OK\r\n\r\nall of", gap=0.1)
        visit.writer.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: close resets
        visit.writer.transport.abort()

    with pytest.raises(StreamBroken):
        await text(await ask(connect(await serve(script))))


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        HEAD + b"zz\r\n",
        b"\0" * 100,
    ],
)
async def test_what_is_not_http_is_broken(serve: Serve, connect: Connect, garbage: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(garbage)
        await visit.hung_up()

    upstream = await serve(script)
    with pytest.raises(Broken, match="not HTTP"):
        await ask(connect(upstream))
    assert await until_hung_up(upstream) < 1.0


async def test_garbage_after_the_body_began_breaks_the_stream(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n", b"zz\r\n", gap=0.05)
        await visit.hung_up()

    with pytest.raises(StreamBroken):
        await text(await ask(connect(await serve(script))))


@pytest.mark.parametrize("surplus", [b"garbage", answer(b"of another caller"), b"HTTP/1.1 2"])
@pytest.mark.parametrize("gap", [0.0, 0.05])
async def test_bytes_that_nobody_asked_for_reach_no_caller(
    serve: Serve, connect: Connect, surplus: bytes, gap: float
) -> None:
    async def script(visit: Visit) -> None:
        pieces = (answer(visit.body), surplus) if gap else (answer(visit.body) + surplus,)
        await visit.send(*pieces, gap=gap)

    pool = connect(await serve(script))
    for number in range(3):
        assert await text(await ask(pool, b"%d" % number)) == b"%d" % number
        await asyncio.sleep(2 * gap)
    assert pool.opened == 3


async def test_interim_answers_are_passed_over(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        await visit.send(early + HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    given = await ask(connect(await serve(script)))
    assert (given.status, given.media_type) == (200, "text/event-stream")
    assert b"link" not in given.headers
    assert await anext(given.chunks) == b"one"
    await given.chunks.aclose()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (MAX_HEAD + 1),
        b"HTTP/1.1 200 OK\r\n"
        + b"".join(b"x%d: %b\r\n" % (i, b"y" * 1000) for i in range(70))
        + b"content-length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
    ids=["one endless line", "many headers", "endless interim answers"],
)
async def test_a_head_over_the_cap_is_broken(serve: Serve, connect: Connect, head: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(head)
        await visit.hung_up()

    with pytest.raises(Broken):
        await ask(connect(await serve(script)), within=3.0)


async def test_endless_trailers_break_the_stream(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n", b"0\r\nx: ", *([b"y" * 30_000] * 4), gap=0.01)
        await visit.hung_up()

    with pytest.raises(StreamBroken):
        await text(await ask(connect(await serve(script)), within=3.0))


async def test_a_whole_answer_over_the_cap_is_broken(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (MAX_WHOLE + (1 << 20)))
        await visit.send(*([bytes(1 << 20)] * 65))
        await visit.hung_up()

    upstream = await serve(script)
    with pytest.raises(Broken, match="longer"):
        await ask(connect(upstream), whole=True)


async def test_a_slow_reader_holds_the_server_back_and_loses_nothing(serve: Serve, connect: Connect) -> None:
    pieces, written = 400, 0

    async def script(visit: Visit) -> None:
        nonlocal written
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (pieces * 65_536))
        for number in range(pieces):
            await visit.send(bytes([number % 256]) * 65_536)
            written += 65_536

    given = await ask(connect(await serve(script), idle=0.2))
    await asyncio.sleep(0.5)  # over the idle timeout: a silence that was asked for is no fault
    assert MAX_UNREAD < written < 20_000_000
    assert given.chunks.size < 2 * MAX_UNREAD + 65_536
    body = await text(given)
    assert body == b"".join(bytes([number % 256]) * 65_536 for number in range(pieces))


async def test_an_answer_that_is_no_success_is_given_whole(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        message = chunked(b"no", b" such", b" model").replace(b"200 OK", b"404 Not Found")
        await visit.send(message[:-25], message[-25:], gap=0.05)

    given = await ask(connect(await serve(script)))
    assert (given.status, given.is_success) == (404, False)
    assert [chunk async for chunk in given.chunks] == [b"no such model"]


async def test_an_empty_answer_says_so(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(b""))

    pool = connect(await serve(script))
    for whole in (False, True):
        given = await ask(pool, whole=whole)
        assert given.chunks.is_empty
        assert await text(given) == b""
    assert pool.opened == 1


async def test_redirects_are_given_and_not_followed(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(b"", status="302 Found", headers=b"location: http://127.0.0.1:1/\r\n"))

    upstream = await serve(script)
    assert (await ask(connect(upstream))).status == 302
    assert len(upstream.visits) == 1


async def test_proxy_variables_are_not_read(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await text(await ask(connect(await serve(echo)), b"direct")) == b"direct"


async def test_an_idle_connection_that_is_old_is_closed(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.pool.KEEP_IDLE", 0.2)

    async def script(visit: Visit) -> None:
        await asyncio.sleep(0.3)
        await visit.send(answer(b""))

    upstream = await serve(echo)
    pool = connect(upstream)
    await asyncio.gather(ask(pool), ask(pool))
    upstream.script = script
    await ask(pool)
    assert repr(pool).startswith(f"<Pool 127.0.0.1:{upstream.port}: 0 in flight, 1 idle, 2 opened")


async def test_closing_the_pool_breaks_what_is_in_flight_and_refuses_more(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    upstream = await serve(script)
    pool = connect(upstream)
    given = await ask(pool)
    await pool.aclose()
    with pytest.raises(StreamBroken):
        await text(given)
    with pytest.raises(ConnectFailed, match="closed"):
        await ask(pool)
    assert await until_hung_up(upstream) < 1.0
    assert upstream.opened == 1


async def test_a_connection_that_comes_after_the_end_is_closed_again(serve: Serve, connect: Connect) -> None:
    upstream = await serve(echo)
    for turns in range(6):
        pool = connect(upstream)
        caller = asyncio.create_task(ask(pool, within=0.5))
        for _ in range(turns):
            await asyncio.sleep(0)
        await pool.aclose()
        with suppress(ConnectFailed):
            await caller
    assert await until_hung_up(upstream) < 1.0


async def test_throwing_into_an_answer_closes_it(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    upstream = await serve(script)
    given = await ask(connect(upstream))
    assert await given.chunks.asend(None) == b"one"
    with pytest.raises(KeyError):
        await given.chunks.athrow(KeyError("gone"))
    assert await until_hung_up(upstream) < 1.0


def test_the_other_event_loop_behaves_alike() -> None:
    """Its transports are none of asyncio's classes."""

    async def script(visit: Visit) -> None:
        if visit.body == b"cut":
            await visit.send(HEAD + b"3\r\none\r\n")
            visit.writer.close()
        elif visit.body == b"hang":
            await visit.hung_up()
        else:
            await echo(visit)

    async def main() -> None:
        upstream = Upstream(script)
        await upstream.open()
        pool = Pool("127.0.0.1", upstream.port)
        for _ in range(20):
            bodies = await asyncio.gather(*(ask(pool, b"%d" % number) for number in range(16)))
            assert [await text(given) for given in bodies] == [b"%d" % number for number in range(16)]
        assert pool.opened <= 16
        with pytest.raises(StreamBroken):
            await text(await ask(pool, b"cut"))
        with pytest.raises(DeadlineExceeded):
            await ask(pool, b"hang", within=0.2)
        caller = asyncio.create_task(ask(pool, b"hang"))
        await asyncio.sleep(0.1)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
        await pool.aclose()
        assert await until_hung_up(upstream) < 1.0
        await upstream.close()

    uvloop.run(main())


async def test_an_idle_connection_that_grew_old_while_nobody_asked_is_not_used(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = await serve(echo)
    pool = connect(upstream)
    await ask(pool)
    monkeypatch.setattr("backends.pool.KEEP_IDLE", 0.05)
    await asyncio.sleep(0.2)
    await ask(pool)
    assert "2 opened" in repr(pool)


# --- poured into a sink ----------------------------------------------------------------------------


class Bucket:
    """A sink; after so many pieces it is full until `empty` is set."""

    def __init__(self, *, room: int = 1_000_000, fails: Exception | None = None) -> None:
        self.pieces: list[bytes] = []
        self.empty = asyncio.Event()
        self.drained = 0
        self._room, self._fails = room, fails

    def write(self, data: bytes) -> bool:
        if self._fails is not None:
            raise self._fails
        self.pieces.append(data)
        return len(self.pieces) % self._room != 0

    async def drain(self) -> None:
        self.drained += 1
        await self.empty.wait()


async def test_what_is_poured_comes_in_order_and_gives_back_the_connection(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"5\r\nthree\r\n", b"0\r\n\r\n", gap=0.02)

    pool, bucket = connect(await serve(script)), Bucket()
    given = await ask(pool)
    await given.chunks.pour(bucket)
    assert bucket.pieces == [b"one", b"two", b"three"]
    assert await text(await ask(pool)) == b"onetwothree"
    assert pool.opened == 1


async def test_a_full_sink_holds_the_server_back_and_loses_nothing(serve: Serve, connect: Connect) -> None:
    pieces, sent = 240, 0  # 16 MB: Linux may take ten of them off the server's hands by itself

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.send(HEAD)
        for number in range(pieces):
            await visit.send(b"10000\r\n%b\r\n" % (bytes([number]) * 65_536))
            sent = number + 1
        await visit.send(b"0\r\n\r\n")

    given, bucket = await ask(connect(await serve(script))), Bucket(room=2)
    pouring = asyncio.create_task(given.chunks.pour(bucket))
    await asyncio.sleep(0.3)
    assert (len(bucket.pieces), bucket.drained) == (2, 1)
    assert sent < pieces
    assert given.chunks.size < 2 * MAX_UNREAD + 65_536
    bucket.empty.set()
    await asyncio.wait_for(pouring, 10)
    assert b"".join(bucket.pieces) == b"".join(bytes([number]) * 65_536 for number in range(pieces))


async def test_a_stream_that_breaks_says_so_after_what_came(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n", b"3\r\ntwo\r\n", gap=0.02)
        visit.writer.transport.abort()

    given, bucket = await ask(connect(await serve(script))), Bucket()
    with pytest.raises(StreamBroken):
        await given.chunks.pour(bucket)
    assert bucket.pieces == [b"one", b"two"]


async def test_a_sink_that_fails_ends_the_call_and_not_the_loop(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await asyncio.sleep(0.05)
        await visit.send(b"3\r\ntwo\r\n")
        await visit.hung_up()

    upstream = await serve(script)
    given = await ask(connect(upstream))
    with pytest.raises(StreamBroken, match="too long"):
        await given.chunks.pour(Bucket(fails=StreamBroken("too long")))
    assert await until_hung_up(upstream) < 2


async def test_who_stops_pouring_hangs_up(serve: Serve, connect: Connect) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(HEAD + b"3\r\none\r\n")
        await visit.hung_up()

    upstream, bucket = await serve(script), Bucket()
    given = await ask(connect(upstream))
    pouring = asyncio.create_task(given.chunks.pour(bucket))
    await asyncio.sleep(0.1)
    pouring.cancel()
    with suppress(asyncio.CancelledError):
        await pouring
    assert bucket.pieces == [b"one"]
    assert await until_hung_up(upstream) < 2
