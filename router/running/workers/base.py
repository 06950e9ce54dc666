"""The words between a parent and its workers, and the channel over which they are said.

    WorkerFailed     a worker ended, or says why it cannot do what it was told

Each message is one line of JSON on a pair of connected sockets; secrets are among them, so they stand neither in
arguments nor in the environment.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from router.metrics.families import Family
from router.resources.shared import Inherited
from router.running.reloading import NotTaken

LONGEST: Final = 16 << 20  # bytes of a message
UNSENT: Final = 4 << 20  # bytes that may wait; whoever reads so little gets nothing more
HEARTBEAT_EVERY: Final = 0.5  # seconds between two
TELL_EVERY: Final = 2.0  # seconds between two tellings of what was counted; a worker that is killed loses so much of it


class WorkerFailed(NotTaken):
    """A worker could not do what it was told."""


class Begin(Struct, tag=True, frozen=True):
    """To a worker, once: what it is to serve.

    Attributes:
        values: of the configuration, as `router.config.reading.Chosen` has them.
        sockets: descriptors to listen on.
    """

    values: Mapping[str, Any]
    inherited: Inherited
    sockets: tuple[int, ...]


class Change(Struct, tag=True, frozen=True):
    """To a worker: have new requests answered by another configuration; answered by `Changed`."""

    values: Mapping[str, Any]
    inherited: Inherited


class Stop(Struct, tag=True, frozen=True):
    """To a worker: take no new connections and end; in seconds, as `router.running.serving.Server.stop` takes them."""

    linger: float
    within: float


class Tell(Struct, tag=True, frozen=True):
    """To a worker: tell what was counted until now, by `Counted`."""


class Total(Struct, tag=True, frozen=True):
    """To a worker: what all have counted together; answers `Gather`."""

    families: tuple[Family, ...]


class Ready(Struct, tag=True, frozen=True):
    """From a worker: it listens.

    Attributes:
        maker: what stands in the ids of its requests; see `router.ledger.holding`.
    """

    maker: str


class Failed(Struct, tag=True, frozen=True):
    """From a worker: why it ends, before it has begun."""

    message: str


class Heartbeat(Struct, tag=True, frozen=True):
    """From a worker: its loop runs.

    Attributes:
        gateways: that are open; more than one while an earlier one has requests to answer.
    """

    gateways: int


class Changed(Struct, tag=True, frozen=True):
    """From a worker: it answers by the other configuration; or why not, and then nothing has changed."""

    failure: str


class Counted(Struct, tag=True, frozen=True):
    """From a worker: what it has counted."""

    families: tuple[Family, ...]


class Gather(Struct, tag=True, frozen=True):
    """From a worker: somebody asks for what all have counted; answered by `Total`."""

    families: tuple[Family, ...]


Order = Begin | Change | Stop | Tell | Total
Report = Ready | Failed | Heartbeat | Changed | Counted | Gather

read_order: Final = msgspec.json.Decoder(Order).decode
read_report: Final = msgspec.json.Decoder(Report).decode
encoded: Final = msgspec.json.Encoder().encode


class Channel:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def on(cls, end: socket.socket) -> Self:
        """Return the channel over a socket, which belongs to it from then on."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=LONGEST))

    def say(self, message: Order | Report) -> bool:
        """Hand over a message; tells whether it may arrive. Never waits."""
        if self._writer.is_closing() or self._writer.transport.get_write_buffer_size() > UNSENT:
            return False
        self._writer.write(encoded(message) + b"\n")
        return True

    async def heard(self) -> AsyncGenerator[bytes, None]:
        """Yield messages as they come, until the other end is closed."""
        try:
            while line := await self._reader.readline():
                yield line
        except (OSError, ValueError):  # the other end has died, or says what no message can be
            return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
