"""A caller who leaves, and a deadline that passes, while Mini is verified: router/cascade.py, router/held.py."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

import msgspec
import pytest

from tests.router.conftest import House, Served, chat
from tests.router.scripted import COMPLETION, SCRIPTS, Script
from tests.router.verifying import BETWEEN, CHAT, JUDGE, ScriptedVerifier, second_of, told, words

LONG = {**BETWEEN, "hold_seconds": 20.0, "hold_tokens": 3}
LEFT = "CancelledError"
Attempts = list[tuple[object, object, object]]


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> ScriptedVerifier:
    """Return the verifier that every house of a test asks."""
    scripted = ScriptedVerifier()
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: scripted)
    return scripted


async def leave(house: House, *, stream: bool, when: Callable[[], bool]) -> None:
    """Ask, and hang up as soon as something is true."""
    asking = asyncio.create_task(house.client.post(CHAT, json=chat(stream=stream)))
    async with asyncio.timeout(5):
        while not when():
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.1)
    figures = (await house.client.get("/metrics")).text
    assert "tandem_requests_in_flight 0.0" in figures


def the_record(house: House) -> Attempts:
    """Return the attempts of the one record, which tells of a caller who left."""
    (row,) = house.rows()
    assert row["outcome"] == "hung_up"
    return told(row)


@pytest.mark.parametrize("stream", [True, False])
async def test_while_mini_is_silent(stream: bool, serve_house: Served, verifier: ScriptedVerifier) -> None:  # noqa: FBT001
    async with serve_house(policy=LONG) as house:
        second = second_of(house)
        house.mini.begins_after = second.begins_after = 60.0
        await leave(house, stream=stream, when=lambda: bool(house.mini.calls))
    assert the_record(house) == [("primary", "mini", LEFT), JUDGE]


async def test_inside_the_hold(serve_house: Served, verifier: ScriptedVerifier) -> None:
    async with serve_house(policy=LONG) as house:
        second = second_of(house)
        house.mini.events = second.events = words(2, ends=False)
        house.mini.hangs = second.hangs = True
        await leave(house, stream=True, when=lambda: bool(house.mini.calls))
        assert (house.mini.closed_early, second.closed_early) == (1, 1)
    assert the_record(house) == [("primary", "mini", LEFT), JUDGE]
    assert not verifier.seen


@pytest.mark.parametrize("stream", [True, False])
async def test_while_the_second_sample_is_waited_for(
    stream: bool,  # noqa: FBT001
    serve_house: Served,
    verifier: ScriptedVerifier,
) -> None:
    async with serve_house(policy=LONG) as house:
        second = second_of(house)
        second.events, second.hangs = words(2, ends=False), True
        await leave(house, stream=stream, when=lambda: bool(second.calls))
        assert second.closed_early == 1
    assert the_record(house) == [("primary", "mini", LEFT), JUDGE]


@pytest.mark.parametrize(("stream", "count"), [(True, 2), (True, 9), (False, 2)], ids=["whole", "cut", "unstreamed"])
async def test_while_large_is_waited_for(
    stream: bool,  # noqa: FBT001
    count: int,
    serve_house: Served,
    verifier: ScriptedVerifier,
) -> None:
    verifier.p = 0.9
    async with serve_house(policy=LONG) as house:
        house.mini.events = words(count)
        second_of(house)
        house.large.begins_after = 60.0
        await leave(house, stream=stream, when=lambda: bool(house.large.calls))
        assert house.mini.closed_early == (count == 9)
    kinds = the_record(house)
    assert kinds[0] == JUDGE
    assert sorted(kinds[1:]) == [("escalation", "mini", ""), ("primary", "large", LEFT)]


@pytest.mark.parametrize("p", [0.1, 0.9])
async def test_after_the_first_byte(p: float, serve_house: Served, verifier: ScriptedVerifier) -> None:
    verifier.p = p
    async with serve_house(policy={**LONG, "second_sample": False}) as house:
        house.mini.events = house.large.events = words(5, ends=False)
        house.mini.hangs = house.large.hangs = True
        asking = asyncio.create_task(house.client.post(CHAT, json=chat(stream=True)))
        while not verifier.seen:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert house.mini.closed_early == 1
        assert house.large.closed_early == (p > 0.5)
    kinds = the_record(house)
    assert kinds == ([("primary", "mini", "")] if p < 0.5 else [("escalation", "mini", ""), ("primary", "large", "")])


async def test_in_the_silence_after_a_hold_that_ran_out(serve_house: Served, verifier: ScriptedVerifier) -> None:
    """What was let out is under way to the caller while the reading of the hold still waits for Mini's next piece."""
    async with serve_house(policy={**LONG, "hold_seconds": 0.05}) as house:
        second_of(house).begins_after = 60.0
        house.mini.events, house.mini.hangs = words(2, ends=False), True
        await leave(house, stream=True, when=lambda: bool(verifier.seen))
        assert house.mini.closed_early == 1
    assert the_record(house) == [JUDGE, ("primary", "mini", "")]


# --- real servers ---------------------------------------------------------------------------------------


class Upstream:
    """An OpenAI-like server: Mini's streams never end, whole answers come at once; Large never answers."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = msgspec.json.decode(await reader.readexactly(length))
        try:
            if body["model"] == "big":
                await reader.read()
            elif body.get("stream"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                for event in words(4, ends=False):
                    writer.write(event)
                await reader.read()  # ends when the gateway aborts
                self.lost.set()
            else:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                writer.write(head % len(COMPLETION) + COMPLETION)
                await writer.drain()
        except ConnectionResetError:
            self.lost.set()
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> AsyncGenerator[tuple[Upstream, dict[str, object]], None]:
    """Return a server, and the backends that lead to it."""
    behind = Upstream()
    server = await asyncio.start_server(behind.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = {"use": "openai_http", "urls": [f"http://127.0.0.1:{port}/v1"]}
    backends = {
        "large": {**backend, "model": "big", "price": "desk-large"},
        "mini": {**backend, "model": "small", "price": "desk-mini"},
    }
    for tier in ("large", "mini"):
        SCRIPTS.setdefault(tier, Script())  # every house names them, also one that asks none
    yield behind, {"backends": backends, "server": {"request_timeout": 0.6}}
    server.close()


async def test_an_escalated_stream_s_connection_is_aborted(
    upstream: tuple[Upstream, dict[str, object]], serve_house: Served, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    behind, more = upstream
    async with serve_house(policy={**LONG, "second_sample": False}, **more) as house:
        begun = time.monotonic()
        asking = asyncio.create_task(house.client.post(CHAT, json=chat(stream=True)))
        async with asyncio.timeout(0.4):
            await behind.lost.wait()
        assert time.monotonic() - begun < 0.4  # long before the deadline
        answer = await asking
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert time.monotonic() - begun < 1.5


async def test_the_deadline_holds_over_the_whole_chain_and_a_held_reply_is_served_at_its_end(
    upstream: tuple[Upstream, dict[str, object]], serve_house: Served, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    _, more = upstream
    async with serve_house(policy=LONG, **more) as house:
        begun = time.monotonic()
        answer = await house.client.post(CHAT, json=chat())
        assert 0.5 < time.monotonic() - begun < 1.2
    assert (answer.content, answer.headers["x-tandem-reason"]) == (COMPLETION, "escalation_failed")
