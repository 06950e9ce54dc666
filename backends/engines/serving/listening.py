"""Options -> an address that answers at once, and an engine that is loaded meanwhile.

Serves until it is told to stop. Knows neither the command line nor what an engine is made of.
"""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final, NoReturn

import uvicorn
import uvloop

from backends.engines.base import Engine, KvStore, ModelRefused
from backends.engines.engine_options import SIGNING_KEY, EngineOptions
from backends.engines.opening import open_engine
from backends.engines.serving.admission import Admission
from backends.engines.serving.app import EngineApp
from backends.engines.serving.asks import Offer
from backends.engines.serving.metrics import Metrics

CLOSE_WITHIN: Final = 1.0
"""Seconds that an engine has to end; whoever started this process kills it soon after."""

BACKLOG: Final = 1024
GARBAGE_AFTER: Final = 20_000  # objects more than were freed

_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)


class PortTaken(Exception):
    """The address cannot be listened on."""


class StoreRefused(Exception):
    """The store for prefix KV cannot be opened."""


def serve(options: EngineOptions, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then end this process at once with code 0; answers that are under way are cut.

    Args:
        ready: called once with the address, such as "http://127.0.0.1:8101", when requests are answered.

    Raises:
        PortTaken: nothing else was done yet.
        StoreRefused: likewise.
        ModelRefused: the model cannot be loaded.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # callers who leave are no news
    with _listen(options) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options, listener, _open_store(options), ready))


@contextmanager
def _listen(options: EngineOptions) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections may linger
        try:
            listener.bind((options.host, options.port))
            listener.listen(BACKLOG)
        except OSError as error:
            where = f"{options.host}:{options.port}"
            raise PortTaken(f"cannot listen on {where}: {error.strerror}; choose another port, or 0") from error
        yield listener


def _open_store(options: EngineOptions) -> KvStore | None:
    if not options.kv_store:
        return None
    module, _, name = options.kv_store.partition(":")
    try:
        opened = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StoreRefused(f"cannot find {options.kv_store!r}: {error}; give package.module:name") from error
    secret = os.environ.get(SIGNING_KEY, "").encode()
    if not secret:
        raise StoreRefused(f"{SIGNING_KEY} is not set: prefix KV is shared only where its values are signed")
    try:
        store: KvStore = opened(options.kv_url, secret=secret)
    except ValueError as error:
        raise StoreRefused(f"cannot open the store for prefix KV: {error}; check --kv-url") from error
    return store


async def _serve(
    options: EngineOptions, listener: socket.socket, store: KvStore | None, ready: Callable[[str], None]
) -> NoReturn:
    admission = Admission(places=options.places, queue=options.queue, clock=monotonic)
    metrics = Metrics(options.name, admission, clock=monotonic)
    app = EngineApp(Offer(options.name, tuple(options.adapters), options.places), admission, metrics)
    told_to_stop = asyncio.Event()
    for ending in _ENDINGS:
        asyncio.get_running_loop().add_signal_handler(ending, told_to_stop.set)
    answering = asyncio.create_task(EngineServer(app).serve(sockets=[listener]))
    loading = asyncio.create_task(_load(options, store))
    stopping = asyncio.create_task(told_to_stop.wait())
    engine: Engine | None = None
    await asyncio.wait({loading, stopping, answering}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        engine = loading.result()
        metrics.watch(engine.load, engine.gauges, *([] if store is None else [store.gauges]))
        app.serve(engine)
        _settle_garbage()
        ready(_address(options, listener))
        await asyncio.wait({stopping, answering}, return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        answering.result()
    app.retire()
    await _close(engine, store)
    os._exit(0)  # a thread that still loads, or an engine's own in the middle of something, would be waited for


async def _load(options: EngineOptions, store: KvStore | None) -> Engine:
    """Return the engine with its model; its libraries take their time, so they are loaded beside the loop."""
    try:
        engine = await asyncio.to_thread(open_engine, options, store)
        await engine.start()
    except ModuleNotFoundError as error:
        raise ModelRefused(
            f"the engine {options.engine} wants {error.name}, which is not installed: install tandem-gateway[local]"
        ) from error
    return engine


async def _close(engine: Engine | None, store: KvStore | None) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN):
            if engine is not None:
                await engine.aclose()
    if store is not None:
        await asyncio.to_thread(store.close)


def _settle_garbage() -> None:
    """Look for cycles seldom, and not among what was loaded: a request leaves none behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def _address(options: EngineOptions, listener: socket.socket) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{listener.getsockname()[1]}"


class EngineServer(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    def __init__(self, app: EngineApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                backlog=BACKLOG,
            )
        )

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield
