"""router/endpoints/at_once.py, behind the listener: what is told without a task, and what is not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from backends.base import QueueFull
from router.app import Tandem
from router.endpoints.chat import Scope, Send
from router.endpoints.wire import Receive
from router.running.serving import Server, bound
from tests.router.conftest import chat, config_of
from tests.router.scripted import SCRIPTS

CHAT = "/v1/chat/completions"
KEY = {"authorization": "Bearer acme-key-of-a-test"}


class Counting(Tandem):
    """A gateway that counts what it is asked by tasks."""

    asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += scope["type"] == "http"
        await super().__call__(scope, receive, send)


@dataclass
class Served:
    """A gateway on a real socket."""

    tandem: Counting
    client: httpx2.AsyncClient

    async def chat(self, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(CHAT, json=chat(), headers={**KEY, **named})

    async def fill(self) -> None:
        """Let one request find every backend full."""
        for script in SCRIPTS.values():
            script.failures.append(QueueFull("full", retry_after=1))
        assert (await self.chat()).status_code == 503


Serve = Callable[[], AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return what serves a gateway with one key."""

    @asynccontextmanager
    async def served() -> AsyncGenerator[Served, None]:
        tandem = Counting(config_of(tmp_path, keys=[{"tenant": "acme", "key": "acme-key-of-a-test"}]))
        sockets = bound("127.0.0.1", 0)
        begun = asyncio.Event()
        server = Server(tandem, drain=lambda: 1.0, begun=begun.set)
        serving = asyncio.create_task(server.serve(list(sockets)))
        await begun.wait()
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
            yield Served(tandem, client)
        server.stop(within=0)
        await serving

    return served


async def test_health_is_told_without_a_task_as_the_endpoint_would_tell_it(serve: Serve) -> None:
    async with serve() as served:
        told = [
            await served.client.request(method, "/healthz", headers={"x-request-id": "m"}) for method in ("GET", "HEAD")
        ]
        assert served.tandem.asked == 0
        refused = await served.client.post("/healthz")
        transport = httpx2.ASGITransport(served.tandem)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as inside:
            endpoint = await inside.get("/healthz", headers={"x-request-id": "m"})
        assert served.tandem.asked == 2
    for each, body in zip(told, (endpoint.content, b""), strict=True):
        assert (each.status_code, each.content) == (200, body)
        assert {**each.headers, "date": ""} == {**endpoint.headers, "date": ""}
    assert refused.status_code == 405


async def test_who_would_find_no_room_is_refused_without_a_task(serve: Serve) -> None:
    async with serve() as served:
        await served.fill()
        refused = await served.chat(x_request_id="mine")
        unnamed = await served.chat()
        assert served.tandem.asked == 1
        figures = (await served.client.get("/metrics")).text
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert (refused.headers["retry-after"], refused.headers["x-request-id"]) == ("1", "mine")
    assert unnamed.headers["x-request-id"].startswith("req_")
    assert 'tandem_refused_requests_total{status="503"} 2.0' in figures


async def test_who_is_let_in_has_a_place_until_the_answer_is_over(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as served:
        await served.fill()
        monkeypatch.setattr("router.guards.overload.TRY_EVERY", 0.0)
        statuses = [(await served.chat()).status_code]
        monkeypatch.setattr("router.guards.overload.TRY_EVERY", 60.0)
        statuses += [(await served.chat()).status_code for _ in range(2)]
        SCRIPTS["large"].begins_after = SCRIPTS["mini"].begins_after = 0.05
        both = await asyncio.gather(served.chat(), served.chat())
    assert statuses == [200, 200, 200]
    assert sorted(each.status_code for each in both) == [200, 503]


async def test_what_may_have_an_answer_or_another_refusal_is_left_to_the_endpoint(serve: Serve) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        yield b'{"model": '
        await asyncio.sleep(0)
        yield b'"auto"}'

    async with serve() as served:
        await served.fill()
        before = served.tandem.asked
        keyed = await served.chat(idempotency_key="k")
        unknown = await served.chat(authorization="Bearer nobody")
        pieces = await served.client.post(
            CHAT, content=in_pieces(), headers={**KEY, "content-type": "application/json"}
        )
        assert served.tandem.asked == before + 3
    assert [each.status_code for each in (keyed, unknown, pieces)] == [503, 401, 503]
