"""router/running/serving.py: how a gateway takes connections, and how it ends."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from router.app import Tandem
from router.ledger.reading import iter_requests
from router.running.serving import Server, bound
from tests.router.conftest import chat, config_of
from tests.router.scripted import SCRIPTS

CHAT = "/v1/chat/completions"


@dataclass
class Served:
    """A gateway on a real socket that can be stopped."""

    server: Server
    client: httpx2.AsyncClient
    ledger: Path
    serving: asyncio.Task[None]

    async def ended(self, *, within: float) -> float:
        """Return the seconds until the server has ended."""
        begun = time.monotonic()
        await asyncio.wait_for(asyncio.shield(self.serving), within)
        return time.monotonic() - begun

    def rows(self) -> list[dict[str, object]]:
        return [dict(row) for row in iter_requests(self.ledger)]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return what serves a gateway; the keyword arguments are seconds that answers get at the end."""

    @asynccontextmanager
    async def served(*, drain: float = 5.0, pauses: float = 0.0) -> AsyncGenerator[Served, None]:
        tandem = Tandem(config_of(tmp_path))
        sockets = bound("127.0.0.1", 0)
        begun = asyncio.Event()
        server = Server(tandem, drain=lambda: drain, begun=begun.set)
        serving = asyncio.create_task(server.serve(list(sockets)))
        await begun.wait()
        for tier in ("large", "mini"):
            script = SCRIPTS[tier]
            script.events = (script.events[0], pauses, *script.events[1:])
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{sockets[0].getsockname()[1]}", trust_env=False, timeout=10
        ) as client:
            yield Served(server, client, tmp_path / "ledger.db", serving)
        if not serving.done():
            server.stop(within=0)
            await serving

    return served


async def stream(served: Served) -> list[str]:
    """Return the events of one stream; the last one is "cut" where the body was."""
    events: list[str] = []
    try:
        async with served.client.stream("POST", CHAT, json=chat(stream=True)) as answer:
            async for line in answer.aiter_lines():
                events += [line] if line else []
    except httpx2.RemoteProtocolError:
        events.append("cut")
    return events


async def test_a_stream_ends_whole_while_nobody_new_is_let_in(serve: Serve) -> None:
    async with serve(pauses=0.4) as served:
        ready = await asyncio.gather(*(served.client.get("/readyz") for _ in range(2)))  # a connection each
        assert [answer.status_code for answer in ready] == [200, 200]
        streaming = asyncio.create_task(stream(served))
        await asyncio.sleep(0.1)
        served.server.stop(linger=0.2)
        while served.server.server_state.default_headers[-1][0] != b"connection":
            await asyncio.sleep(0.01)
        last = await served.client.get("/readyz")  # on the one that is open still
        assert (last.status_code, last.json()["status"]) == (503, "stopping")
        assert last.headers["connection"] == "close"
        with pytest.raises(httpx2.ConnectError):
            await httpx2.AsyncClient(trust_env=False).get(str(served.client.base_url))
        assert (await streaming)[-1] == "data: [DONE]"
        assert await served.ended(within=2) < 1
    assert [row["outcome"] for row in served.rows()] == ["answered"]


async def test_what_has_not_ended_in_time_is_told_so_cut_and_recorded(serve: Serve) -> None:
    async with serve(drain=0.3, pauses=30.0) as served:
        SCRIPTS["mini"].completion_hangs = True
        streaming = asyncio.create_task(stream(served))
        waiting = asyncio.create_task(served.client.post(CHAT, json=chat(model="mini")))
        await asyncio.sleep(0.1)
        served.server.stop()
        assert await served.ended(within=3) < 0.3 + 1
        *_, error, end = await streaming
        assert end == "cut"
        told = json.loads(error.removeprefix("data: "))["error"]
        assert (told["code"], told["type"]) == ("stopping", "server_error")
        refused = await waiting
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "stopping"
    assert [row["outcome"] for row in served.rows()] == ["interrupted"] * 2


async def test_told_twice_it_waits_for_nobody(serve: Serve) -> None:
    async with serve(drain=30.0, pauses=30.0) as served:
        streaming = asyncio.create_task(stream(served))
        await asyncio.sleep(0.1)
        served.server.stop()
        await asyncio.sleep(0.2)
        assert not served.serving.done()
        served.server.stop()
        assert await served.ended(within=3) < 1
        assert (await streaming)[-1] == "cut"


@pytest.mark.parametrize("seed", range(6))
async def test_at_whatever_moment_it_is_stopped_each_answer_is_whole_or_says_that_it_is_not(
    serve: Serve, seed: int
) -> None:
    draws = random.Random(seed)
    async with serve(drain=0.15, pauses=draws.choice([0.0, 0.02, 5.0])) as served:
        ends = False
        seen: list[list[str]] = []

        async def call() -> None:
            while not ends:
                try:
                    seen.append(await stream(served))
                except httpx2.TransportError:  # nobody is there any more; nothing was answered
                    return

        callers = [asyncio.create_task(call()) for _ in range(4)]
        await asyncio.sleep(draws.uniform(0.01, 0.15))
        served.server.stop()
        assert await served.ended(within=3) < 0.15 + 1
        ends = True
        await asyncio.gather(*callers)
    for events in seen:
        whole = events[-1] == "data: [DONE]"
        told = any('"error"' in event for event in events)  # in the stream, or as an answer of its own
        assert whole != told, events
    outcomes = [row["outcome"] for row in served.rows()]
    assert None not in outcomes
    assert len(outcomes) >= sum(events[-1] == "data: [DONE]" for events in seen)


async def test_an_open_connection_is_closed_with_its_next_answer_and_not_under_it(serve: Serve) -> None:
    async with serve() as served:
        for _ in range(3):
            assert (await served.client.post(CHAT, json=chat())).status_code == 200
        served.server.stop(linger=0.5)
        await asyncio.sleep(0.2)
        answer = await served.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert await served.ended(within=3) < 1
    assert [row["outcome"] for row in served.rows()] == ["answered"] * 4


def test_sockets_of_one_port_can_be_shared_and_take_no_connection_before_somebody_listens() -> None:
    (first,) = bound("127.0.0.1", 0)
    (second,) = bound("127.0.0.1", first.getsockname()[1])
    with first, second, socket.socket() as caller:
        assert caller.connect_ex(first.getsockname()) != 0
        second.listen()
        assert caller.connect_ex(first.getsockname()) == 0
    with pytest.raises(OSError, match="assign"):
        bound("192.0.2.1", 0)


async def test_one_that_cannot_do_what_stands_beside_it_does_not_begin(tmp_path: Path) -> None:
    @asynccontextmanager
    async def fails() -> AsyncGenerator[None, None]:
        raise OSError("taken")
        yield

    tandem = Tandem(config_of(tmp_path))
    server = Server(tandem, drain=lambda: 1.0, alongside=fails)
    with pytest.raises(OSError, match="taken"):
        await server.serve()
