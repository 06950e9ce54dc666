"""`python -m router.running.workers.worker`: one worker, as its parent tells it over a channel.

Listens on sockets that it inherits, counts for itself, and says twice a second that its loop runs. It never outlives
its parent.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Final

from router.app import Tandem
from router.base import Unavailable
from router.config.models import Config
from router.endpoints.wire import new_id
from router.ledger.ids import maker_of
from router.logs.lines import open_log
from router.logs.redaction import secrets_in
from router.metrics.event_loop import EVERY
from router.metrics.families import Family
from router.running.reloading import reason_of
from router.running.serving import Server
from router.running.workers.base import (
    HEARTBEAT_EVERY,
    TELL_EVERY,
    Begin,
    Change,
    Changed,
    Channel,
    Counted,
    Failed,
    Gather,
    Heartbeat,
    Ready,
    Report,
    Stop,
    Tell,
    Total,
    encoded,
    read_order,
)

GATHER_WITHIN: Final = 1.0  # seconds that the parent has to add up

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class Worker:
    """What a worker says and obeys while it serves.

    Args:
        end: of the channel to the parent.
    """

    def __init__(self, begin: Begin, end: socket.socket) -> None:
        self.tandem = Tandem(Config.model_validate(begin.values), begin.inherited)
        self.server = Server(self.tandem, drain=lambda: self.tandem.config.server.drain_timeout, begun=self._begun)
        self._end = end
        self._channel: Channel | None = None
        self._life: asyncio.Task[None] | None = None
        self._ticks = 0
        self._total: asyncio.Future[tuple[Family, ...]] | None = None
        self._gathering = asyncio.Lock()
        self.tandem.loop_monitor.on_tick = self._tick
        self.tandem.gather = self._gather

    def say_last(self, report: Report) -> None:
        """Say something when no loop runs any more, or none has."""
        self._end.setblocking(True)  # noqa: FBT003 - as the library has it
        self._end.sendall(encoded(report) + b"\n")

    def _begun(self) -> None:
        self._life = asyncio.get_running_loop().create_task(self._obey())

    async def _obey(self) -> None:
        """Do what the parent says until it hangs up, and end then."""
        self._channel = await Channel.on(self._end.dup())
        self._channel.say(Ready(maker_of(new_id())))
        async for message in self._channel.heard():
            order = read_order(message)
            if isinstance(order, Change):
                self._channel.say(Changed(await self._changed(order)))
            elif isinstance(order, Stop):
                self.server.stop(linger=order.linger, within=order.within)
            elif isinstance(order, Tell):
                self._channel.say(Counted(self.tandem.figures()))
            elif isinstance(order, Total) and self._total is not None and not self._total.done():
                self._total.set_result(order.families)
        self.server.stop(within=0)

    async def _changed(self, order: Change) -> str:
        """Answer by another configuration; returns why not, "" where all went well."""
        try:
            await self.tandem.change(Config.model_validate(order.values), order.inherited)
        except Exception as error:  # noqa: BLE001  (a kind from outside may raise anything, and the old one goes on)
            return reason_of(error)
        return ""

    def _tick(self) -> None:
        self._ticks += 1
        if self._channel is not None and self._ticks % round(HEARTBEAT_EVERY / EVERY) == 0:
            self._channel.say(Heartbeat(self.tandem.gateways))
            if self._ticks % round(TELL_EVERY / EVERY) == 0:
                self._channel.say(Counted(self.tandem.figures()))

    async def _gather(self, own: Iterable[Family]) -> Iterable[Family]:
        """Return what all workers have counted.

        Raises:
            Unavailable: the parent does not say; a part of it would look as if counters had fallen.
        """
        async with self._gathering:
            self._total = asyncio.get_running_loop().create_future()
            if self._channel is not None:
                self._channel.say(Gather(tuple(own)))
            try:
                async with asyncio.timeout(GATHER_WITHIN):
                    return await self._total
            except TimeoutError:
                raise Unavailable(
                    "the figures of the other workers are not to be had now", code="figures_unavailable", retry_after=1
                ) from None
            finally:
                self._total = None


def main() -> int:
    """Serve until told to stop; returns an exit code."""
    parser = argparse.ArgumentParser(
        "router.running.workers.worker", description="One worker of a gateway; started by it."
    )
    parser.add_argument("--channel", type=int, required=True, help="descriptor of the channel to the parent")
    parser.add_argument("--parent", type=int, required=True, help="end when this process ends")
    asked = parser.parse_args()
    _die_with(asked.parent)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # these are for the parent, also where they are sent to all
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    end = socket.socket(fileno=asked.channel)
    with end.makefile("rb") as told:
        begin = read_order(told.readline())
    if not isinstance(begin, Begin):
        return 2
    config = Config.model_validate(begin.values)
    logs = config.logs
    with open_log(logs.format, logs.level, requests=logs.requests, secrets=secrets_in(config)) as log_writer:
        worker = Worker(begin, end)
        worker.tandem.collectors.append(log_writer)
        try:
            worker.server.run([socket.socket(fileno=each) for each in begin.sockets])
        except SystemExit:  # uvicorn's way to say that it did not start
            worker.say_last(Failed(str(worker.tandem.failure or "it cannot listen")))
            return 1
        worker.say_last(Counted(worker.tandem.figures()))
    return 0


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, be it by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"parent process {parent} has ended, nobody needs this worker")


if __name__ == "__main__":
    sys.exit(main())
