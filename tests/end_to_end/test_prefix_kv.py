"""Prefix KV of an engine of our own, kept in the gateway's Redis: it outlives the engine, and is its tenant's alone."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from backends.engines.local import LocalEngine
from cache.supervisor import find_binary
from router.app import Tandem
from router.resources.engines import Lease
from tests.router.conftest import config_of

CHAT = "/v1/chat/completions"
RULES = "The desk is open from nine to five. Parcels are sent within two days, and no parcel is sent twice. " * 10

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no redis-server on this machine")


async def cached(client: httpx2.AsyncClient, *, key: str, question: str) -> int:
    """Return how many tokens of the prompt were at hand."""
    said = [{"role": "user", "content": f"{RULES}\n\n{question}"}]
    body = {"model": "large", "messages": said, "max_tokens": 8, "temperature": 0}
    answer = await client.post(CHAT, json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def engines_of(app: Tandem) -> list[LocalEngine]:
    """Return the engines behind the gateway that answers."""
    opened = app._opened
    assert opened is not None
    leases = [backend for backend in opened.gateway.backends.values() if isinstance(backend, Lease)]
    return [lease.engine for lease in leases if isinstance(lease.engine, LocalEngine)]


async def test_it_outlives_the_engine_and_no_other_tenant_gains_by_it(tmp_path: Path) -> None:
    keys: Mapping[str, str] = {"acme": "the-key-of-acme-0001", "umbrella": "the-key-of-umbrella"}
    config = config_of(
        tmp_path,
        backends={"large": {"use": "local", "name": "desk-large"}, "mini": {"use": "local", "name": "desk-mini"}},
        keys=[{"tenant": tenant, "key": key} for tenant, key in keys.items()],
        cache={"enabled": True},
    )
    app = Tandem(config)
    async with app.running(), asyncio.timeout(50):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem", timeout=30) as client:
            assert await cached(client, key=keys["acme"], question="When do you open?") == 0
            assert await cached(client, key=keys["umbrella"], question="When do you open?") == 0
            await asyncio.sleep(1.0)  # until it is written, off everybody's time
            engines = engines_of(app)
            assert len(engines) == 2
            for engine in engines:
                pid = engine.process.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            while sum(engine.process.restarts for engine in engines) < len(engines):
                await asyncio.sleep(0.05)
            found = await cached(client, key=keys["acme"], question="And when do you close?")
            assert found > 200
            assert await cached(client, key="the-key-of-umbrella", question="And when do you close?") > 200
