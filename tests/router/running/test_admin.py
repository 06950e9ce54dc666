"""router/running/admin.py, router/running/controls.py: what those who run the gateway can ask, and who cannot."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import read_config
from router.running.controls import controlled
from router.running.serving import serve_beside
from tests.router.conftest import config_of
from tests.router.running.test_reloading import Running, running, write

KEY = "an-admin-key-of-some-length"
TENANTS = "a-tenant-key-of-some-length"


@asynccontextmanager
async def opened(
    file: Path, *, restarts: list[bool] | None = None, **server: object
) -> AsyncGenerator[tuple[Running, httpx2.AsyncClient], None]:
    """Yield a gateway with its admin port."""

    async def restart() -> None:
        (restarts if restarts is not None else []).append(True)

    with_port = {"admin_port": 0, **server}
    async with running(file, server=with_port, keys=[{"tenant": "acme", "key": TENANTS}]) as house:
        ports: list[int] = []

        @asynccontextmanager
        async def noting(*args: object, **more: object) -> AsyncGenerator[int, None]:
            async with serve_beside(*args, **more) as port:  # type: ignore[arg-type]  # handed on as they come
                ports.append(port)
                yield port

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("router.running.controls.serve_beside", noting)
            async with AsyncExitStack() as owned:
                attending = controlled(
                    lambda: house.app.config,
                    house.reloader,
                    restart=None if restarts is None else restart,
                    status=lambda: {"config": house.app.config.version, "workers": []},
                    signals={signal.SIGHUP: house.reloader.reload},
                )
                await owned.enter_async_context(attending)
                client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False)
                yield house, await owned.enter_async_context(client)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tandem.yaml"


async def test_a_reload_says_what_answers_now_or_every_fault(file: Path) -> None:
    async with opened(file) as (house, admin):
        assert (await admin.post("/admin/reload")).json()["result"] == "unchanged"
        keys = [{"tenant": "acme", "key": TENANTS}]
        house.write(server={"admin_port": 0}, keys=keys, policy={"use": "explicit", "tier": "large"})
        done = await admin.post("/admin/reload")
        assert (done.status_code, done.json()["result"]) == (200, "done")
        assert (await admin.get("/admin/status")).json() == {"config": done.json()["config"], "workers": []}
        house.write(server={"admin_port": 7}, keys=keys)
        refused = await admin.post("/admin/reload")
        assert refused.status_code == 422
        (fault,) = refused.json()["faults"]
        assert (fault["file"], fault["path"]) == (str(file), "server.admin_port")
        assert fault["line"] > 1
        assert (await admin.get("/v1/models")).status_code == 404
        assert (await admin.get("/admin/reload")).status_code == 405


@pytest.mark.parametrize(
    ("key", "headers", "status"),
    [
        (None, {}, 200),
        (None, {"authorization": f"Bearer {TENANTS}"}, 401),
        (KEY, {"authorization": f"Bearer {KEY}"}, 200),
        (KEY, {}, 401),
        (KEY, {"authorization": f"Bearer {TENANTS}"}, 401),
        (KEY, {"authorization": f"Basic {KEY}"}, 401),
        (KEY, {"authorization": f"Bearer {KEY}", "origin": "http://evil.example"}, 400),
        (None, {"origin": "http://127.0.0.1"}, 400),
        (None, {"sec-fetch-site": "cross-site"}, 400),
    ],
)
async def test_no_key_of_a_tenant_and_no_page_in_a_browser_gets_in(
    file: Path, key: str | None, headers: dict[str, str], status: int
) -> None:
    async with opened(file, admin_key=key) as (_, admin):
        for method, path in (("POST", "/admin/reload"), ("POST", "/admin/restart"), ("GET", "/admin/status")):
            answer = await admin.request(method, path, headers=headers)
            assert answer.status_code == (400 if path == "/admin/restart" and status == 200 else status), path
            assert "error" in answer.json() or answer.status_code == 200


async def test_a_restart_is_handed_on_where_there_are_workers(file: Path) -> None:
    restarts: list[bool] = []
    async with opened(file, restarts=restarts) as (house, admin):
        answer = await admin.post("/admin/restart")
        assert answer.json() == {"config": house.app.config.version, "workers": []}
    assert restarts == [True]


async def test_a_signal_has_the_file_read_again(file: Path) -> None:
    async with opened(file) as (house, _):
        keys = [{"tenant": "acme", "key": TENANTS}]
        house.write(server={"admin_port": 0}, keys=keys, policy={"use": "explicit", "tier": "large"})
        before = house.app.config.version
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if house.app.config.version != before:
                break
        assert house.app.config.version != before


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"server": {"admin_host": "0.0.0.0"}}, "server.admin_host"),
        ({"server": {"admin_key": TENANTS}, "keys": [{"tenant": "a", "key": TENANTS}]}, "server.admin_key"),
        ({"server": {"workers": "many"}}, "server.workers"),
        ({"server": {"workers": True}}, "server.workers"),
    ],
)
def test_what_would_let_others_in_is_a_fault_with_its_place(file: Path, parts: dict[str, object], path: str) -> None:
    write(file, **parts)
    with pytest.raises(ConfigError) as refused:
        read_config(file, {})
    (fault,) = refused.value.faults
    assert (fault.path, fault.line > 1, TENANTS in str(fault)) == (path, True, False)


def test_workers_can_be_left_to_the_number_of_cores(tmp_path: Path) -> None:
    configs: list[Config] = [config_of(tmp_path, server={"workers": each}) for each in ("auto", 0, 3)]
    assert [config.server.workers for config in configs] == [0, 0, 3]
