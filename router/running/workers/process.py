"""Orders -> a worker in a process of its own, and what became of it.

Whoever starts it closes it. A worker whose loop does not run for five seconds is killed.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from router.metrics.families import Family
from router.running.workers.base import (
    HEARTBEAT_EVERY,
    Begin,
    Change,
    Changed,
    Channel,
    Counted,
    Failed,
    Gather,
    Heartbeat,
    Order,
    Ready,
    Report,
    Stop,
    Tell,
    WorkerFailed,
    read_report,
)

START_WITHIN: Final = 60.0  # seconds until it must listen
CHANGE_WITHIN: Final = 60.0  # seconds until it must answer by another configuration
STUCK_AFTER: Final = 5.0  # seconds without a sign of life

_GONE: Final = "a worker ended before it could do what it was told"

Cause = Literal["ended", "stuck", "replaced", "refused"]
"""Why a worker is no more: by itself or by somebody's signal; its loop stood still; another one took its place; it did
not take a configuration that others have taken."""


class WorkerProcess:
    """One worker, seen from its parent.

    Attributes:
        pid: of its process.
        maker: what stands in the ids of its requests; "" until it listens.
        counted: what it has last told.
        gateways: that it has open; 0 until it has said so since `forget_gateways`.
        cause: why it is no more, or will not be.
        began: on the loop's clock, when it listened; None until then.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel, gather: "Callable[[WorkerProcess], None]"
    ) -> None:
        self.pid, self.maker, self.gateways = process.pid, "", 0
        self.counted: tuple[Family, ...] = ()
        self.cause: Cause = "ended"
        self.began: float | None = None
        self._process, self._channel, self._gather = process, channel, gather
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._changed: asyncio.Future[str] | None = None
        self._told: asyncio.Future[None] | None = None
        self._beaten = False
        self._ears = loop.create_task(self._listen())

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid} {'listens' if self.maker else 'starts'}>"

    async def ready(self) -> None:
        """Return when it listens.

        Raises:
            WorkerFailed: it ended, or did not listen in time; the text says why.
        """
        try:
            async with asyncio.timeout(START_WITHIN):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill("stuck")
            raise WorkerFailed(f"a worker did not listen within {START_WITHIN:g} s") from None
        self.began = asyncio.get_running_loop().time()

    async def change(self, order: Change) -> None:
        """Have it answer by another configuration.

        Raises:
            WorkerFailed: it does not, and goes on as before; or it ended.
        """
        if self._ears.done():
            raise WorkerFailed(_GONE)
        self._changed = asyncio.get_running_loop().create_future()
        self.gateways = 0
        self.say(order)
        try:
            async with asyncio.timeout(CHANGE_WITHIN):
                failure = await self._changed
        except TimeoutError:
            failure = f"a worker did not answer within {CHANGE_WITHIN:g} s"
        if failure:
            raise WorkerFailed(failure)

    async def tell(self, within: float) -> None:
        """Have it tell what it has counted; returns without where it does not in time."""
        if self._told is None or self._told.done():
            self._told = asyncio.get_running_loop().create_future()
            self.say(Tell())
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.shield(self._told)

    def say(self, order: Order) -> None:
        """Hand over an order; one that cannot hear it is found out by its silence."""
        self._channel.say(order)

    def stop(self, *, linger: float, within: float, cause: Cause = "ended") -> None:
        """Have it end when its requests are answered; see `router.running.serving.Server.stop`."""
        self.cause = cause
        self.say(Stop(linger, within))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is gone."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self, cause: Cause) -> None:
        """End it at once."""
        self.cause = cause
        self.signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Return its exit code when it is gone and all that it said is heard; kills it when it stands still."""
        silent = 0
        while True:
            try:
                code = await asyncio.wait_for(self._process.wait(), HEARTBEAT_EVERY)
                break
            except TimeoutError:
                # Counted, not timed: where this process stood still itself, that is no silence of another one's.
                silent = 0 if self._beaten or not self.maker else silent + 1
                self._beaten = False
                if silent * HEARTBEAT_EVERY >= STUCK_AFTER:
                    self.kill("stuck")
        await self._ears
        self._channel.close()
        return code

    async def _listen(self) -> None:
        async for message in self._channel.heard():
            self._beaten = True
            self._hear(read_report(message))
        if not self._ready.done():
            self._ready.set_exception(WorkerFailed(_GONE))
            self._ready.exception()  # nobody may be waiting
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(_GONE)

    def _hear(self, report: Report) -> None:
        match report:
            case Ready():
                self.maker = report.maker
                self._ready.set_result(None)
            case Failed():
                self._ready.set_exception(WorkerFailed(report.message))
            case Heartbeat():
                self.gateways = report.gateways
            case Changed() if self._changed is not None and not self._changed.done():
                self._changed.set_result(report.failure)
            case Gather():
                self.counted = report.families
                self._gather(self)
            case Counted():
                self.counted = report.families
                if self._told is not None and not self._told.done():
                    self._told.set_result(None)


def _search_path() -> str:
    """Return where our modules are found, for a process that may look elsewhere for its own."""
    return os.pathsep.join(str(Path(each).absolute()) for each in sys.path)


async def spawn(
    begin: Begin, sockets: Sequence[socket.socket], *, keeps: int, gather: Callable[[WorkerProcess], None]
) -> WorkerProcess:
    """Return a worker that has been told what to serve; it need not listen yet.

    Args:
        sockets: to listen on, which it inherits.
        keeps: a descriptor that it keeps open for as long as it lives.
        gather: called when it asks for what all have counted.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # its modules are found where ours were, as the environment says below
            "-m",
            "router.running.workers.worker",
            f"--channel={theirs.fileno()}",
            f"--parent={os.getpid()}",
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": _search_path()},
            pass_fds=(theirs.fileno(), keeps, *(each.fileno() for each in sockets)),
            start_new_session=True,  # Ctrl-C is for the parent, which stops everything in order
        )
    worker = WorkerProcess(process, await Channel.on(ours), gather)
    worker.say(begin)
    return worker
