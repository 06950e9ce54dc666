"""A real HTTP server on the loopback, before a scripted engine."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from time import monotonic

import httpx2
import pytest

from backends.engines.base import Engine
from backends.engines.serving.admission import Admission
from backends.engines.serving.app import EngineApp
from backends.engines.serving.asks import Offer
from backends.engines.serving.listening import EngineServer
from backends.engines.serving.metrics import Metrics
from tests.backends.engines.serving.scripted import Front, Open


@pytest.fixture
async def serve() -> AsyncGenerator[Open]:
    """Start servers; None for an engine leaves one loading."""
    async with AsyncExitStack() as stack:

        async def start(engine: Engine | None, *, places: int = 4, queue: int = 4) -> Front:
            admission = Admission(places=places, queue=queue, clock=monotonic)
            metrics = Metrics("desk", admission, clock=monotonic)
            app = EngineApp(Offer("desk", ("terse",), places), admission, metrics)
            if engine is not None:
                metrics.watch(engine.load, engine.gauges)
                app.serve(engine)
            listener = socket.create_server(("127.0.0.1", 0))
            server = EngineServer(app)
            running = asyncio.create_task(server.serve(sockets=[listener]))
            port = listener.getsockname()[1]
            client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False)

            async def stop() -> None:
                await client.aclose()
                running.cancel()
                await asyncio.wait({running})
                for each in server.servers:
                    each.close()
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
                await asyncio.sleep(0)

            stack.push_async_callback(stop)
            while not server.started:
                await asyncio.sleep(0)
            return Front(app, admission, metrics, port, client)

        yield start
