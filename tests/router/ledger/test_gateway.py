"""A whole gateway, and one of several workers, whose ledger is in PostgreSQL: router/resources/shared.py and others."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from router.base import Unavailable
from router.config.reading import read_chosen
from router.ledger.holding import hold
from router.ledger.place import LedgerPlace, PostgresPlace
from router.ledger.reading import iter_requests
from router.ledger.rollup import verify
from router.running.workers.parent import sockets_for
from router.running.workers.pool import open_pool
from tests.router.conftest import OpenHouse, chat
from tests.router.running.test_reloading import write

CHAT = "/v1/chat/completions"


def options_of(place: LedgerPlace, folder: Path) -> dict[str, object]:
    if isinstance(place, PostgresPlace):
        return {"use": "postgres", "url": place.url, "path": str(folder / "here.db")}
    return {"use": "sqlite", "path": str(place)}


async def test_what_is_asked_and_said_is_in_the_ledger(
    place: LedgerPlace, open_house: OpenHouse, tmp_path: Path
) -> None:
    async with open_house(ledger=options_of(place, tmp_path)) as house:
        answered = await house.client.post(CHAT, json=chat(), headers={"x-request-id": "mine"})
        rated = await house.client.post("/v1/feedback", json={"request_id": "mine", "score": 1})
        await asyncio.sleep(0.05)
        explained = await house.client.get("/v1/explain/mine")
        shown = await house.client.get("/dashboard")
        with pytest.raises(Unavailable, match="in use by another gateway"):
            hold(place)
    assert [each.status_code for each in (answered, rated, explained, shown)] == [200] * 4
    assert explained.json()["outcome"] == "answered"
    assert [row["outcome"] for row in iter_requests(place)] == ["answered"]
    assert verify(place) == []
    with hold(place), pytest.raises(Unavailable, match="in use by another gateway"):
        async with open_house(ledger=options_of(place, tmp_path)):
            pass


async def test_workers_write_one_database_and_what_a_dead_one_left_open_is_closed(
    new_database: Callable[[], PostgresPlace], tmp_path: Path
) -> None:
    place = new_database()
    file = tmp_path / "tandem.yaml"
    write(file, server={"drain_timeout": 1.0, "request_timeout": 5.0}, ledger=options_of(place, tmp_path))
    chosen = read_chosen(file)
    with hold(chosen.config.ledger.place) as lock:
        async with open_pool(lock) as pool:
            sockets = sockets_for("127.0.0.1", 0, 2)
            await pool.begin(chosen, sockets)
            url = f"http://127.0.0.1:{sockets[0][0].getsockname()[1]}"
            each_anew = httpx2.Limits(max_keepalive_connections=0)
            async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10, limits=each_anew) as client:
                told = await asyncio.gather(*(client.post(CHAT, json=chat(f"{number}")) for number in range(30)))
            assert {each.status_code for each in told} == {200}
            await asyncio.sleep(0.1)
            workers = pool.status()["workers"]
            assert isinstance(workers, list)
            os.kill(workers[0], signal.SIGKILL)
            until = time.monotonic() + 10.0
            while pool.restarts["ended"] == 0 and time.monotonic() < until:
                await asyncio.sleep(0.02)
    assert [row["outcome"] for row in iter_requests(place)] == ["answered"] * 30
    assert verify(place) == []
