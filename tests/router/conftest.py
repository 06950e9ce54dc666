"""A whole gateway over scripted backends, driven in process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvicorn

from router.app import Tandem
from router.config.models import Config
from router.ledger.reading import iter_requests
from router.listener import BoundedProtocol
from tests.router.scripted import SCRIPTS, Script

Row = dict[str, object]


@dataclass(frozen=True)
class House:
    """An open gateway and what a test needs of it."""

    client: httpx2.AsyncClient
    ledger: Path
    large: Script
    mini: Script

    def rows(self) -> list[Row]:
        """Return the ledger's requests, once the gateway is closed or the writer had a moment."""
        return [dict(row) for row in iter_requests(self.ledger)]


Served = Callable[..., AbstractAsyncContextManager[House]]
OpenHouse = Callable[..., AbstractAsyncContextManager[House]]


def chat(text: str = "hello", **more: object) -> dict[str, object]:
    """Return a chat request's body."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def config_of(folder: Path, **more: object) -> Config:
    """Return a configuration over scripted backends; `more` replaces its parts."""
    kind = "tests.router.scripted:ScriptedOptions"
    parts: dict[str, object] = {
        "backends": {
            "large": {"use": kind, "tier": "large", "model": "big", "price": "desk-large"},
            "mini": {"use": kind, "tier": "mini", "model": "small", "price": "desk-mini"},
        },
        "classifier": {"use": "rules"},
        "policy": {"use": "threshold", "threshold": 0.5},
        "cache": {"enabled": False},
        "ledger": {"use": "sqlite", "path": str(folder / "ledger.db")},
    }
    return Config.model_validate({**parts, **more})


@pytest.fixture
def open_house(tmp_path: Path) -> OpenHouse:
    """Return what opens a house; the keyword arguments are parts of the configuration."""

    @asynccontextmanager
    async def opened(**more: object) -> AsyncGenerator[House, None]:
        app = Tandem(config_of(tmp_path, **more))
        async with app.running():
            transport = httpx2.ASGITransport(app, raise_app_exceptions=True)
            async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as client:
                yield House(client, tmp_path / "ledger.db", SCRIPTS["large"], SCRIPTS["mini"])

    return opened


@pytest.fixture
def serve_house(tmp_path: Path) -> Served:
    """Return what opens a house behind the real listener, on a real socket."""

    @asynccontextmanager
    async def served(**more: object) -> AsyncGenerator[House, None]:
        app = Tandem(config_of(tmp_path, **more))
        options = uvicorn.Config(app, port=0, http=BoundedProtocol, log_config=None, lifespan="on", ws="none")
        server = uvicorn.Server(options)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield House(client, tmp_path / "ledger.db", SCRIPTS["large"], SCRIPTS["mini"])
        server.should_exit = True
        await serving

    return served
