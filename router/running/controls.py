"""What asks a running gateway to change: signals, the admin port, a look at its file."""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from router.config.models import Config
from router.running.admin import Admin
from router.running.reloading import Reloader
from router.running.serving import serve_beside

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Runs what is asked for, one task for each, and ends with its block; see `controlled`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(self, work: Callable[[], Awaitable[object]]) -> None:
        """Have something done that nobody waits for."""
        task = asyncio.ensure_future(work())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def aclose(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()
        for task in tuple(self._tasks):
            with suppress(asyncio.CancelledError, Exception):
                await task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("what was asked for could not be done: %s", error)


@asynccontextmanager
async def controlled(
    config: Callable[[], Config],
    reloader: Reloader,
    *,
    restart: Callable[[], Awaitable[None]] | None,
    status: Callable[[], Mapping[str, object]],
    signals: Mapping[signal.Signals, Callable[[], Awaitable[object]]],
) -> AsyncGenerator[BackgroundTasks, None]:
    """Obey signals, listen on the admin port and look at the file, as far as that is wanted, while the block runs.

    Raises:
        OSError: nobody can listen on the admin port.
    """
    server = config().server
    async with AsyncExitStack() as owned:
        tasks = BackgroundTasks()
        owned.push_async_callback(tasks.aclose)
        loop = asyncio.get_running_loop()
        for number, work in signals.items():
            loop.add_signal_handler(number, tasks.begin, work)
            owned.callback(loop.remove_signal_handler, number)
        if server.admin_port is not None:
            admin = Admin(config, reloader.reload, restart, status)
            serving = serve_beside(admin.application(), host=server.admin_host, port=server.admin_port)
            _log.info("the admin port is %s:%d", server.admin_host, await owned.enter_async_context(serving))
        if server.watch is not None:
            every = server.watch
            tasks.begin(lambda: reloader.watch(every))
        yield tasks
