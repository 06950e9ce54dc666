"""A configuration that wants several workers -> a gateway of several processes, until it is told to stop."""

import asyncio
import logging
import signal
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from backends.base import BackendError
from router.base import GatewayError
from router.config.reading import Chosen
from router.ledger.holding import hold
from router.running.controls import controlled
from router.running.reloading import Listening, Reloader
from router.running.serving import bound
from router.running.workers.base import WorkerFailed
from router.running.workers.pool import WorkerPool, open_pool

_log = logging.getLogger(__name__)


def run(chosen: Chosen, path: Path | None, listening: Listening) -> Exception | None:
    """Serve until SIGTERM or SIGINT; returns what kept the gateway from starting, None where it did start.

    Args:
        path: of the file that is read again on SIGHUP; None is the built-in configuration.
    """
    return asyncio.run(_run(chosen, path, listening))


async def _run(chosen: Chosen, path: Path | None, listening: Listening) -> Exception | None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with AsyncExitStack() as owned:
            lock = owned.enter_context(hold(chosen.config.ledger.place))
            sockets = sockets_for(chosen.config.server.host, chosen.config.server.port, chosen.config.server.processes)
            pool = await owned.enter_async_context(open_pool(lock))
            begun = asyncio.create_task(pool.begin(chosen, sockets))
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({begun, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                await begun
                host, port = sockets[0][0].getsockname()[:2]
                _log.info("ready on %s:%d with %d workers", host, port, len(sockets))
                await _attend(pool, chosen, path, listening, stopping)
            begun.cancel()
            with suppress(asyncio.CancelledError):
                await begun
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, pool.hurry)
    except (WorkerFailed, BackendError, GatewayError, OSError) as error:
        return error
    return None


async def _attend(
    pool: WorkerPool, chosen: Chosen, path: Path | None, listening: Listening, stopping: asyncio.Event
) -> None:
    """Do what is asked for until the gateway is told to stop."""
    reloader = Reloader(path, chosen.config, pool.change, reloads=pool.reloads, listening=listening)
    async with controlled(
        lambda: pool.config,
        reloader,
        restart=pool.replace_all,
        status=pool.status,
        signals={signal.SIGHUP: reloader.reload, signal.SIGUSR2: pool.replace_all},
    ):
        await stopping.wait()


def sockets_for(host: str, port: int, workers: int) -> Sequence[Sequence[socket.socket]]:
    """Return for each worker sockets of its own on one port, none of which takes connections yet.

    Raises:
        OSError: the address is taken, be it by another gateway whose workers would share it.
    """
    with socket.create_server((host, port), family=_family(host), reuse_port=False) as alone:
        port = alone.getsockname()[1]
    return [bound(host, port) for _ in range(workers)]


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
