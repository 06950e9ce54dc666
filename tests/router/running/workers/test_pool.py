"""router/running/workers/: several processes on one port.

router/running/workers/pool.py, router/running/workers/process.py, router/running/workers/worker.py
"""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from backends.base import ConnectFailed
from router.config.reading import read_chosen
from router.ledger.holding import hold
from router.ledger.ids import maker_of
from router.ledger.reading import iter_requests
from router.running.reloading import Reloader
from router.running.workers.base import WorkerFailed
from router.running.workers.parent import sockets_for
from router.running.workers.pool import WorkerPool, open_pool
from tests.router.conftest import chat
from tests.router.resources.test_shared import Engine
from tests.router.running.test_reloading import write
from tests.router.scripted import SCRIPTS, ScriptedBackend, ScriptedOptions

CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Hired:
    """Two workers, and callers that want to be answered all the time.

    Attributes:
        stranger: a caller that opens a connection for each request.
    """

    pool: WorkerPool
    reloader: Reloader
    file: Path
    url: str
    stranger: httpx2.AsyncClient
    answers: list[httpx2.Response] = field(default_factory=list)
    failures: list[httpx2.TransportError] = field(default_factory=list)

    def rows(self) -> list[dict[str, object]]:
        return [dict(row) for row in iter_requests(self.file.with_name("l.db"))]

    async def figure(self, name: str) -> float:
        """Return the sum of a metric's samples, as whichever worker answers tells it."""
        told = (await self.stranger.get("/metrics")).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", told, re.MULTILINE))

    async def load(self, ends: asyncio.Event, *, callers: int = 3) -> None:
        """Ask until told to end; each caller keeps its connection, and opens another one where it lost it."""

        async def ask_on() -> None:
            async with httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=10) as client:
                while not ends.is_set():
                    try:
                        self.answers.append(await client.post(CHAT, json=chat()))
                    except httpx2.TransportError as error:
                        self.failures.append(error)
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(ask_on() for _ in range(callers)))

    async def until(self, name: str, value: float) -> None:
        async with asyncio.timeout(15):
            while await self.figure(name) != value:
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hired(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Hired, None]:
    """Run one pool for all tests of this file."""
    file = tmp_path_factory.mktemp("pool") / "tandem.yaml"
    write(file, server={"drain_timeout": 1.0, "request_timeout": 5.0})
    chosen = read_chosen(file)
    with pytest.MonkeyPatch.context() as patch, hold(chosen.config.ledger.path) as lock:
        patch.setattr("router.running.workers.process.STUCK_AFTER", 1.0)
        patch.setattr("router.running.workers.pool.LINGER_WHEN_REPLACED", 0.5)
        async with open_pool(lock) as pool:
            sockets = sockets_for("127.0.0.1", 0, 2)
            await pool.begin(chosen, sockets)
            url = f"http://127.0.0.1:{sockets[0][0].getsockname()[1]}"
            reloader = Reloader(file, chosen.config, pool.change, reloads=pool.reloads)
            each_anew = httpx2.Limits(max_keepalive_connections=0)
            async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10, limits=each_anew) as stranger:
                yield Hired(pool, reloader, file, url, stranger)


def pids(hired: Hired) -> list[int]:
    status = hired.pool.status()["workers"]
    assert isinstance(status, list)
    return status


async def test_both_answer_and_whoever_is_asked_tells_the_sum(hired: Hired) -> None:
    for number in range(40):  # a connection each, which the kernel gives to one of the two
        assert (await hired.stranger.post(CHAT, json=chat(stream=bool(number % 2)))).status_code == 200
    assert [await hired.figure("tandem_requests_total") for _ in range(6)] == [40.0] * 6
    assert await hired.figure("tandem_workers") == 2
    await asyncio.sleep(0.1)
    makers = Counter(maker_of(str(row["id"])) for row in hired.rows())
    assert len(makers) == 2
    assert sum(makers.values()) == 40


async def test_all_are_replaced_under_load_and_nobody_notices(hired: Hired) -> None:
    ends, before, counted = asyncio.Event(), pids(hired), await hired.figure("tandem_requests_total")
    hired.answers.clear()
    loading = asyncio.create_task(hired.load(ends))
    await asyncio.sleep(0.2)
    await hired.pool.replace_all()
    await asyncio.sleep(0.7)
    ends.set()
    await loading
    assert not set(before) & set(pids(hired))
    assert hired.failures == []
    assert {answer.status_code for answer in hired.answers} == {200}
    await hired.until('tandem_worker_restarts_total{cause="replaced"}', 2)
    assert await hired.figure("tandem_requests_total") == counted + len(hired.answers)


async def test_a_reload_reaches_both_and_one_that_is_refused_reaches_none(hired: Hired) -> None:
    more = {"server": {"drain_timeout": 1.0, "request_timeout": 5.0}}
    ends, before = asyncio.Event(), pids(hired)
    hired.answers.clear()
    loading = asyncio.create_task(hired.load(ends))
    for tier in ("large", "mini", "large"):
        write(hired.file, policy={"use": "explicit", "tier": tier}, **more)
        assert (await hired.reloader.reload()).result == "done"
    hired.answers.clear()
    await asyncio.sleep(0.2)
    ends.set()
    await loading
    assert hired.failures == []
    assert {answer.headers["x-tandem-config"] for answer in hired.answers[6:]} == {hired.pool.config.version}
    assert {answer.headers["x-tandem-tier"] for answer in hired.answers[6:]} == {"large"}
    assert pids(hired) == before
    kind = {"use": "tests.router.running.workers.test_pool:Refusing", "tier": "mini", "model": "m", "price": "p"}
    write(hired.file, backends={"large": {**kind, "tier": "large"}, "mini": kind}, **more)
    refused = await hired.reloader.reload()
    assert refused.result == "refused"
    assert "not today" in refused.faults[0].message
    assert (await hired.stranger.post(CHAT, json=chat())).headers["x-tandem-config"] == hired.pool.config.version
    assert pids(hired) == before


async def test_one_that_is_killed_under_load_loses_no_record_and_another_takes_its_place(hired: Hired) -> None:
    slow = {"use": "tests.router.running.workers.test_pool:Slow", "tier": "large", "model": "l", "price": "desk-large"}
    mini = {"use": "tests.router.scripted:ScriptedOptions", "tier": "mini", "model": "m", "price": "desk-mini"}
    write(hired.file, backends={"large": slow, "mini": mini}, server={"drain_timeout": 1.0, "request_timeout": 20.0})
    assert (await hired.reloader.reload()).result == "done"
    ends, killed = asyncio.Event(), pids(hired)[0]
    hired.answers.clear()
    loading = asyncio.create_task(hired.load(ends))
    asking = [asyncio.create_task(hired.stranger.post(CHAT, json=chat(model="large"))) for _ in range(16)]
    running = set[str]()
    async with asyncio.timeout(10):
        while len(running) < 16:
            await asyncio.sleep(0.05)
            running = {str(row["id"]) for row in hired.rows() if row["outcome"] is None and row["tier"] == "large"}
    maker = next(each.maker for each in hired.pool._workers if each.pid == killed)
    assert len(running) == 16
    os.kill(killed, signal.SIGKILL)
    await hired.until('tandem_worker_restarts_total{cause="ended"}', 1)
    await hired.until("tandem_workers", 2)
    await asyncio.sleep(0.2)
    ends.set()
    await loading
    assert killed not in pids(hired)
    assert len(hired.failures) <= 3  # what it was answering
    await asyncio.sleep(0.2)
    outcomes = {str(row["id"]): row["outcome"] for row in hired.rows()}
    assert all(answer.status_code == 200 for answer in hired.answers)
    assert {outcomes[answer.headers["x-request-id"]] for answer in hired.answers} <= {"answered", "interrupted"}
    for name in running:  # what it left open is closed, and what others answer is not
        assert outcomes[name] == ("interrupted" if maker_of(name) == maker else None)
    assert {maker_of(name) for name, outcome in outcomes.items() if outcome == "interrupted"} == {maker}
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_one_whose_loop_stands_still_is_killed_and_replaced(hired: Hired) -> None:
    stuck, begun = pids(hired)[1], time.monotonic()
    os.kill(stuck, signal.SIGSTOP)
    async with asyncio.timeout(15):
        while stuck in pids(hired) or len(pids(hired)) < 2:
            await asyncio.sleep(0.05)
    assert time.monotonic() - begun < 8
    assert hired.pool.restarts["stuck"] == 1


async def test_an_engine_is_the_parents_and_ends_when_no_configuration_wants_it(hired: Hired) -> None:
    more = {"server": {"drain_timeout": 1.0, "request_timeout": 5.0}}
    large = {"use": "tests.router.scripted:ScriptedOptions", "tier": "large", "model": "l", "price": "desk-large"}
    rented = {
        "use": "tests.router.running.workers.test_pool:Rented",
        "tier": "mini",
        "model": "m",
        "price": "desk-mini",
    }
    for price in ("desk-mini", "desk-large"):
        write(hired.file, backends={"large": large, "mini": {**rented, "price": price}}, **more)
        assert (await hired.reloader.reload()).result == "done"
        answer = await hired.stranger.post(CHAT, json=chat(model="mini"))
        assert answer.headers["x-tandem-model"] == "m"
    (engine,) = ENGINES
    assert engine.closed == 0
    write(hired.file, **more)
    assert (await hired.reloader.reload()).result == "done"
    async with asyncio.timeout(15):
        while not engine.closed:
            await asyncio.sleep(0.05)


class Slow(ScriptedOptions):
    """Options of a backend that never answers."""

    def build(self) -> ScriptedBackend:
        backend = super().build()
        SCRIPTS[self.tier].completion_hangs = True
        return backend


class Rented(ScriptedOptions):
    """Options of an engine that the parent starts, in whose process alone `build` is called."""

    def build(self) -> Engine:  # type: ignore[override]  # an engine is no backend by itself
        ENGINES.append(Engine())
        return ENGINES[-1]

    def reach(self, url: str) -> ScriptedBackend:
        assert url == "http://127.0.0.1:1/v1"
        return super().build()


ENGINES: list[Engine] = []


class Refusing(ScriptedOptions):
    """Options that only a worker finds out not to work."""

    def build(self) -> ScriptedBackend:
        raise ConnectFailed("not today")


async def test_a_configuration_that_no_worker_can_open_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    write(file, server={"port": 0, "workers": 2}, prices="/nowhere.toml")
    chosen = read_chosen(file)
    with hold(chosen.config.ledger.path) as lock:
        async with open_pool(lock) as pool:
            with pytest.raises(WorkerFailed, match=r"nowhere\.toml"):
                await pool.begin(chosen, sockets_for("127.0.0.1", 0, 1))


async def test_a_port_that_another_gateway_shares_is_taken(hired: Hired, tmp_path: Path) -> None:
    port = int(hired.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        sockets_for("127.0.0.1", port, 2)
