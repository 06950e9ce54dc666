"""router/endpoints/responses/background.py, asked by the SDK over a real socket: answers that nobody waits for.

Also router/endpoints/responses/answering.py, router/endpoints/responses/making.py,
router/endpoints/responses/under_way.py and router/endpoints/responses/events.py. Another process of the same gateway is
another gateway here, over the same stored objects.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from msgspec.structs import replace

from backends.base import ConnectFailed
from router.app import Tandem
from router.base import Unavailable
from router.stored import opening
from router.stored.base import StoredObject
from router.stored.runs import Runs
from router.stored.sqlite_objects import SqliteObjects
from tests.router.conftest import House, OpenHouse, Served, config_of
from tests.router.endpoints.responses.test_dialect import ACME, KEYS, PATH, RIVAL, asked
from tests.router.scripted import EVENTS, SCRIPTS

LONG = 3.0  # seconds within which everything here ends


@asynccontextmanager
async def sdk(house: House, key: str = "none") -> AsyncGenerator[Any, None]:
    """Open the SDK's client, whose types know many more kinds of items than there are here."""
    async with asked(house, key) as client:
        yield client


async def ended(client: Any, identifier: str) -> Any:
    """Return a response once it has ended."""
    async with asyncio.timeout(LONG):
        while (found := await client.responses.retrieve(identifier)).status in ("queued", "in_progress"):
            await asyncio.sleep(0.01)
    return found


async def hanging(client: Any, house: House) -> Any:
    """Begin a response, of which the backend sends a part and then no more."""
    house.mini.events, house.mini.hangs = EVENTS[:1], True
    stream: Any = await client.responses.create(model="mini", input="hello", background=True, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    return await client.responses.retrieve(event.item_id.replace("msg_", "resp_")[:-4])


def rows_of(house: House) -> list[tuple[object, object]]:
    return [(row["outcome"], row["stream"]) for row in house.rows()]


async def test_who_does_not_wait_finds_the_answer_later_and_nobody_else_does(serve_house: Served) -> None:
    async with serve_house(keys=KEYS) as house, sdk(house, KEYS[0]["key"]) as client:
        house.mini.begins_after = 0.1
        promised = await client.responses.create(model="mini", input="hello", background=True, metadata={"a": "b"})
        assert (promised.status, promised.background, promised.output) == ("queued", True, [])
        one = f"{PATH}/{promised.id}"
        for method, path in (("GET", one), ("POST", f"{one}/cancel"), ("GET", f"{one}?stream=true"), ("DELETE", one)):
            answer = await house.client.request(method, path, headers=RIVAL)
            assert (answer.status_code, answer.json()["error"]["param"]) == (404, "response_id")
        early = {"model": "mini", "input": "and?", "previous_response_id": promised.id}
        refused = await house.client.post(PATH, json=early, headers=ACME)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "previous_response_id")
        found = await ended(client, promised.id)
        assert (found.status, found.output_text, found.created_at) == ("completed", "hello", promised.created_at)
        assert (found.usage.input_tokens, found.metadata) == (10, {"a": "b"})
        assert (await client.responses.cancel(found.id)).status == "completed"
        told = [event async for event in await client.responses.retrieve(found.id, stream=True)]
        assert (told[-1].type, told[-1].response.output_text) == ("response.completed", "hello")
        chained = await client.responses.create(model="mini", input="and?", previous_response_id=found.id)
        assert chained.status == "completed"
        house.mini.failures.append(ConnectFailed("refused"))
        failed = await ended(client, (await client.responses.create(model="mini", input="hello", background=True)).id)
        assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert rows_of(house) == [("answered", False)] * 2 + [("failed", False)]


async def test_a_stream_goes_on_without_its_first_listener_and_is_heard_again_from_anywhere(
    serve_house: Served,
) -> None:
    async with serve_house() as house, sdk(house) as client:
        house.mini.events = (EVENTS[0], 0.2, *EVENTS[1:])
        stream: Any = await client.responses.create(model="mini", input="hello", background=True, stream=True)
        first = [await anext(stream) for _ in range(3)]
        await stream.close()
        identifier = first[0].response.id
        assert [event.type for event in first[:2]] == ["response.created", "response.queued"]
        rest = [event async for event in await client.responses.retrieve(identifier, stream=True, starting_after=2)]
        seen = [*first, *rest]
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        assert [event.type for event in seen].count("response.created") == 1
        deltas = [event.delta for event in rest if event.type == "response.output_text.delta"]
        assert (deltas, seen[-1].type) == (["hel", "lo"], "response.completed")
        again = [event async for event in await client.responses.retrieve(identifier, stream=True)]
        assert again == seen
        behind = await client.responses.retrieve(identifier, stream=True, starting_after=len(seen))
        assert [event async for event in behind] == []
        assert (await client.responses.retrieve(identifier)) == seen[-1].response
    assert rows_of(house) == [("answered", True)]


async def test_another_process_tells_of_it_and_ends_it(serve_house: Served, tmp_path: Path) -> None:
    shared = {"path": str(tmp_path / "shared.db")}
    other = {"use": "sqlite", "path": str(tmp_path / "other.db")}
    async with (
        serve_house(stored=shared, ledger=other) as far,
        serve_house(stored=shared) as house,
        sdk(house) as client,
        sdk(far) as there,
    ):
        running = await hanging(client, house)
        assert (await there.responses.retrieve(running.id)).status == "in_progress"
        following = asyncio.create_task(_heard(there, running.id))
        async with asyncio.timeout(LONG):
            stopped = await there.responses.cancel(running.id)
        assert (stopped.status, stopped.output[0].status) == ("cancelled", "incomplete")
        assert (await client.responses.cancel(running.id)) == stopped
        heard = await following
        assert [event.sequence_number for event in heard] == list(range(len(heard)))
        assert (heard[-1].type, heard[-1].response.status) == ("response.incomplete", "cancelled")
        behind = await client.responses.retrieve(running.id, stream=True, starting_after=len(heard) - 1)
        assert [event async for event in behind] == [], "nobody gets the last event twice"
        assert house.mini.closed_early == 1
        erased = await hanging(client, house)
        async with asyncio.timeout(LONG):
            await there.responses.delete(erased.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(erased.id)
        assert house.mini.closed_early == 2
    assert rows_of(house) == [("hung_up", True)] * 2


async def _heard(client: Any, identifier: str) -> list[Any]:
    return [event async for event in await client.responses.retrieve(identifier, stream=True)]


async def test_what_was_being_made_when_the_gateway_stopped_is_found_failed(serve_house: Served) -> None:
    async with serve_house() as house, sdk(house) as client:
        running = await hanging(client, house)
    assert rows_of(house) == [("interrupted", True)]
    async with serve_house() as house, sdk(house) as client:
        found = await client.responses.retrieve(running.id)
        assert (found.status, found.error and found.error.code) == ("failed", "server_error")
        heard = await _heard(client, running.id)
        assert (heard[-1].type, heard[-1].response.output[0].content[0].text) == ("response.failed", "hel")


@asynccontextmanager
async def another_process(folder: Path) -> AsyncGenerator[tuple[SqliteObjects, Runs], None]:
    """Open what another process has, which makes an answer and has told one event of it."""
    body = {"id": "resp_a", "object": "response", "status": "in_progress", "background": True, "error": None}
    kept = StoredObject("default", "response", "resp_a", time.time(), "mini", {}, b"[]", json.dumps(body).encode())
    told = b'event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n'
    store = SqliteObjects(folder / "ledger-stored.db", retention=1e9, max_per_tenant=1 << 20)
    runs = Runs(folder / "ledger-stored-runs.db")
    await runs.begin(("default", "resp_a"))
    await store.put(kept)
    await store.add("default", "response", "resp_a", [replace(kept, kind="response/resp_a", body=told)])
    yield store, runs
    await store.aclose()
    await runs.aclose()


async def last_of(house: House, *, after: int = 0) -> Any:
    """Return the last event of what the other process makes, once the stream has ended."""
    heard = (await house.client.get(f"{PATH}/resp_a", params={"stream": "true", "starting_after": after})).text
    return json.loads(heard.rstrip().rpartition("data: ")[2])


async def test_what_a_dead_process_was_making_is_found_failed_by_whoever_looks(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    async with open_house() as house, another_process(tmp_path) as (_, runs):
        assert (await house.client.get(f"{PATH}/resp_a")).json()["status"] == "in_progress"
        runs._owner.close()  # as the kernel does it for one that was killed
        found = (await house.client.get(f"{PATH}/resp_a")).json()
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
        last = await last_of(house)
        assert (last["type"], last["sequence_number"], last["response"]) == ("response.failed", 1, found)
        assert (await house.client.post(f"{PATH}/resp_a/cancel")).json() == found


@pytest.mark.parametrize("hears", [True, False])
async def test_whoever_follows_what_is_deleted_is_told_so(
    open_house: OpenHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hears: bool
) -> None:
    monkeypatch.setattr("router.endpoints.responses.events.PINGS_EVERY", LONG if hears else 0.2)
    async with open_house() as house, another_process(tmp_path) as (store, runs):
        following = [asyncio.create_task(last_of(house, after=after)) for after in (0, 7)]
        await asyncio.sleep(0.1)
        assert await store.delete("default", "response", "resp_a")
        if hears:  # who makes it
            await runs.end(("default", "resp_a"))
        async with asyncio.timeout(LONG):
            heard = await asyncio.gather(*following)
    told = {"type": "error", "code": "not_found", "message": "the response resp_a was deleted", "param": None}
    assert heard == [{**told, "sequence_number": 1}, {**told, "sequence_number": 8}]


async def test_whoever_deletes_or_follows_through_the_sdk_sees_an_end(serve_house: Served) -> None:
    async with serve_house() as house, sdk(house) as client:
        running = await hanging(client, house)
        following = asyncio.create_task(_heard(client, running.id))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(LONG):
            await client.responses.delete(running.id)
            last = (await following)[-1]
        assert last.type in ("response.incomplete", "error")  # the former where it was read before it was deleted


async def test_whoever_follows_what_nobody_can_tell_of_any_more_is_told_so(
    open_house: OpenHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house() as house, another_process(tmp_path):
        following = asyncio.create_task(last_of(house))
        await asyncio.sleep(0.1)

        async def lost(*_: object) -> bool:
            raise Unavailable("nobody can tell", code="background_unavailable", retry_after=1)

        monkeypatch.setattr(Runs, "is_running", lost)
        async with asyncio.timeout(LONG):
            last = await following
        assert (last["type"], last["code"], last["sequence_number"]) == ("error", "background_unavailable", 1)


async def test_a_held_file_of_runs_refuses_all_at_one_time_and_holds_no_end_up(
    serve_house: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.4)
    monkeypatch.setattr("router.endpoints.responses.under_way.TRIES_EVERY", 0.1)
    monkeypatch.setattr("router.endpoints.responses.background.MOST_OF_ONE", 5)
    body = {"model": "mini", "input": "hello", "background": True}
    file = tmp_path / "ledger-stored-runs.db"
    async with serve_house() as house, sdk(house) as client:
        house.mini.begins_after = 0.2
        promised = (await house.client.post(PATH, json=body)).json()["id"]
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            answers = await asyncio.gather(*[house.client.post(PATH, json=body) for _ in range(4)])
            assert time.monotonic() - began < 0.8, "the second waits no longer than the first"
            answers += await asyncio.gather(
                *[house.client.post(PATH, json=body) for _ in range(2)]
            )  # none of those counts
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
            assert [event.type for event in await _heard(client, promised)][-1] == "response.completed"
            assert other.execute("SELECT count(*) FROM runs").fetchone() == (1,)
            other.execute("ROLLBACK")
            async with asyncio.timeout(LONG):
                while other.execute("SELECT count(*) FROM runs").fetchone() != (0,):
                    await asyncio.sleep(0.02)


async def test_limits_are_those_of_every_request_and_too_many_are_refused(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.endpoints.responses.background.MOST_OF_ONE", 1)
    limits = {"default": {"requests_per_minute": 1}}
    async with serve_house(limits=limits) as house, sdk(house) as client:
        running = await hanging(client, house)
        with pytest.raises(openai.RateLimitError, match="in the background"):
            await client.responses.create(model="mini", input="hello", background=True)
        assert (await client.responses.cancel(running.id)).status == "cancelled"
        refused = await ended(client, (await client.responses.create(model="mini", input="a", background=True)).id)
        assert (refused.status, refused.error.code) == ("failed", "rate_limit_exceeded")
    assert rows_of(house) == [("hung_up", True), ("failed", False)]


async def test_an_answer_for_which_there_is_no_room_is_found_failed(open_house: OpenHouse) -> None:
    async with open_house(stored={"max_bytes_per_tenant": 1 << 20}) as house:
        house.mini.completion = house.mini.completion.replace(b'"hello"', b'"%b"' % (b"x" * (1 << 20)))
        body = {"model": "mini", "input": "hello", "background": True}
        promised = (await house.client.post(PATH, json=body)).json()
        async with asyncio.timeout(LONG):
            while (found := (await house.client.get(f"{PATH}/{promised['id']}")).json())["status"] != "failed":
                await asyncio.sleep(0.01)
        assert "bytes" in found["error"]["message"]
        full = await house.client.post(PATH, json={**body, "input": "x" * (1 << 20)})
        assert (full.status_code, full.json()["error"]["code"]) == (507, "object_too_large")
        house.mini.events = (EVENTS[0].replace(b'"hel"', b'"%b"' % (b"x" * (1 << 20))), 60.0)
        stream = (await house.client.post(PATH, json={**body, "stream": True})).text
        last = json.loads(stream.rstrip().rpartition("data: ")[2])
        assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
        assert house.mini.closed_early


async def test_another_configuration_lets_what_is_being_made_end(tmp_path: Path) -> None:
    app = Tandem(config_of(tmp_path))
    async with app.running():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as client:
            SCRIPTS["mini"].begins_after = 0.2
            body = {"model": "mini", "input": "hello", "background": True}
            promised = (await client.post(PATH, json=body)).json()
            await app.change(config_of(tmp_path))
            assert app.gateways == 2
            async with asyncio.timeout(LONG):
                while (await client.get(f"{PATH}/{promised['id']}")).json()["status"] != "completed":
                    await asyncio.sleep(0.01)
                while app.gateways > 1:
                    await asyncio.sleep(0.01)
