"""router/endpoints/ops.py, router/ledger/writer.py: nobody is sent to a gateway that would refuse all requests."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from router.ledger.engines.base import Engine
from router.ledger.engines.opening import engine_of
from router.ledger.engines.sqlite import SqliteEngine
from router.ledger.place import LedgerPlace
from tests.router.conftest import House, OpenHouse, chat

CHAT = "/v1/chat/completions"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[SqliteEngine]:
    """Return the engines of writers, as they are opened."""
    found = list[SqliteEngine]()

    def noted(place: LedgerPlace) -> Engine:
        engine = engine_of(place)
        assert isinstance(engine, SqliteEngine)
        found.append(engine)
        return engine

    monkeypatch.setattr("router.ledger.writer.engine_of", noted)
    return found


@contextmanager
def full(engine: SqliteEngine) -> Iterator[None]:
    """Let a ledger's file grow no more while the block runs."""
    (pages,) = engine.connection.execute("PRAGMA page_count").fetchone()
    (most,) = engine.connection.execute("PRAGMA max_page_count").fetchone()
    engine.connection.execute(f"PRAGMA max_page_count={pages}")
    yield
    engine.connection.execute(f"PRAGMA max_page_count={most}")


async def ready(house: House) -> tuple[int, dict[str, object]]:
    answer = await house.client.get("/readyz")
    return answer.status_code, answer.json()


async def refused(house: House) -> httpx2.Response:
    """Ask until the file is full."""
    async with asyncio.timeout(5):
        while (answer := await house.client.post(CHAT, json=chat("hi", model="mini"))).status_code == 200:
            pass
    return answer


async def test_a_full_ledger_is_a_reason_to_ask_elsewhere_until_it_takes_a_write_though_nobody_asks(
    open_house: OpenHouse, engines: list[SqliteEngine]
) -> None:
    async with open_house() as house:
        assert (await ready(house))[0] == 200
        with full(engines[0]):
            assert (await refused(house)).json()["error"]["code"] == "ledger_unavailable"
            code, told = await ready(house)
            assert (code, told["status"]) == (503, "unavailable")
            assert told["reason"] == "the ledger cannot be written; the log says why"
            await asyncio.sleep(0.7)  # as long as the place is full, a try to write changes nothing
            assert (await ready(house))[0] == 503
        async with asyncio.timeout(2):
            while (await ready(house))[0] != 200:
                await asyncio.sleep(0.05)
        assert (await house.client.post(CHAT, json=chat())).status_code == 200


async def test_a_try_to_write_leaves_nothing_behind(
    open_house: OpenHouse, engines: list[SqliteEngine], tmp_path: Path
) -> None:
    async with open_house() as house:
        with full(engines[0]):
            await refused(house)
        async with asyncio.timeout(2):
            while (await ready(house))[0] != 200:
                await asyncio.sleep(0.05)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT name FROM marks WHERE name = 'probe'").fetchall() == []
