"""Redis commands -> answers, in order, on one connection.

All commands of one turn of the loop leave in one write; answers are matched by their order, so a caller who
gave up never shifts the others. One timer watches all calls. Knows nothing of keys, of values or of coming
back: a connection that failed too often ends itself, and its owner opens another.
"""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

import hiredis

from cache.addresses import Address
from cache.base import StoreAway

BUDGET: Final = 0.05  # seconds that a call may take, opening calls included
FAILURES: Final = 5  # failed calls in a row after which a connection ends itself

_CONNECT_SECONDS: Final = 1.0
_STALL: Final = 0.01  # seconds; a timer that is later than this says that the loop stood still, not the server
_INCOMPLETE: Final = object()


@dataclass(frozen=True, slots=True)
class Fault:
    """Stands where an answer was hoped for; `text` says why there is none."""

    text: str


Answer = bytes | int | Fault | None
_Waiter = asyncio.Future[Answer] | None


@dataclass(slots=True)
class Tally:
    """What went wrong, counted over all connections of one owner."""

    errors: int = 0
    timeouts: int = 0


async def connect(address: Address, tally: Tally) -> "Connection":
    """Return a connection that has entered, chosen its database and answered PING within the budget.

    Raises:
        StoreAway: nobody is there, or the server refused or was too slow.
    """
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await _dial(address, tally)
    except (OSError, TimeoutError) as error:
        raise StoreAway(f"redis cannot be reached: {error or 'no connection in time'}") from error
    try:
        await _enter(connection, address)
    except BaseException:  # also when cancelled: nobody else knows this connection
        connection.abort("not opened")
        raise
    return connection


async def _enter(connection: "Connection", address: Address) -> None:
    for waiter in [connection.ask(*command) for command in opening_of(address)]:
        answer = await waiter
        if isinstance(answer, Fault):
            raise StoreAway(f"redis does not let us in: {answer.text}")


def opening_of(address: Address) -> list[tuple[bytes, ...]]:
    """Return what is sent first on each connection; the last command is a PING."""
    commands: list[tuple[bytes, ...]] = []
    if address.password:
        who = (address.username.encode(),) if address.username else ()
        commands.append((b"AUTH", *who, address.password.encode()))
    if address.database:
        commands.append((b"SELECT", b"%d" % address.database))
    return [*commands, (b"PING",)]


async def _dial(address: Address, tally: Tally) -> "Connection":
    loop = asyncio.get_running_loop()
    if address.path:
        _, connection = await loop.create_unix_connection(lambda: Connection(tally), address.path)
    else:
        tls = ssl.create_default_context() if address.tls else None
        _, connection = await loop.create_connection(lambda: Connection(tally), address.host, address.port, ssl=tls)
    return connection


class Connection(asyncio.Protocol):
    """One pipelined connection; made by `connect`.

    Attributes:
        usable: False from the moment it fails; what is asked later is answered by a fault.
        lost: done when the connection has ended, with the reason.
    """

    def __init__(self, tally: Tally) -> None:
        self.usable = False
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._waiters: deque[_Waiter] = deque()
        self._commands: list[bytes] = []  # of this turn of the loop
        # Calls are numbered from 1 in the order in which they were asked.
        self._asked = 0
        self._answered = 0
        self._expired = 0  # the last call that was given up
        self._writes: deque[tuple[float, int]] = deque()  # deadline, number of its last call
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._failures = 0
        self._cause = ""

    def __repr__(self) -> str:
        state = "usable" if self.usable else "ended"
        return f"<Connection {state}, {len(self._waiters)} calls outstanding>"

    @property
    def unsent(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def ask(self, *command: bytes) -> asyncio.Future[Answer]:
        """Return what will hold the answer; it is always given, at the latest when the budget is over.

        The future may be cancelled at any time.
        """
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        if self.usable:
            self._enqueue(command, waiter)
        else:
            waiter.set_result(Fault(self._cause))
        return waiter

    def tell(self, *command: bytes) -> None:
        """Send a command whose answer matters to nobody; its failure is counted."""
        if self.usable:
            self._enqueue(command, None)

    def abort(self, cause: str) -> None:
        """End at once; what is outstanding is answered by a fault."""
        if self.usable:
            self.usable = False
            self._cause = cause
        if self._transport:
            self._transport.abort()

    async def drain(self) -> None:
        """Return when everything asked was answered, however long that takes, or the connection ended."""
        if self._waiters and not self.lost.done():
            self._drained = self._loop.create_future()
            await self._drained

    def _enqueue(self, command: tuple[bytes, ...], waiter: _Waiter) -> None:
        if not self._commands:
            self._loop.call_soon(self._write)
        self._commands.append(hiredis.pack_command(command))
        self._waiters.append(waiter)
        self._asked += 1

    def _write(self) -> None:
        commands, self._commands = self._commands, []
        if self._transport is None or not self.usable:
            return
        self._transport.write(b"".join(commands))
        # The budget runs from here, once for all: a loop that was busy before is not the server's fault.
        self._writes.append((time.monotonic() + BUDGET, self._asked))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(BUDGET, self._sweep, time.monotonic() + BUDGET)

    def _sweep(self, due: float, *, patient: bool = True) -> None:
        now = time.monotonic()
        if patient and now - due > _STALL:
            # The answers may already lie in the socket, and uvloop runs timers before it reads: let it read once.
            self._sweeper = self._loop.call_later(0.001, lambda: self._sweep(due, patient=False))
            return
        self._sweeper = None
        writes = self._writes
        while writes and (writes[0][1] <= self._answered or writes[0][0] <= now):
            _, last = writes.popleft()
            if last > self._answered and self._drained is None:
                self._expire(last)
        if writes and self.usable:
            due = writes[0][0]
            self._sweeper = self._loop.call_later(due - now, self._sweep, due)

    def _expire(self, last: int) -> None:
        fault = Fault(f"no answer within {BUDGET} s")
        first = max(self._expired, self._answered)
        for waiter in islice(self._waiters, first - self._answered, last - self._answered):
            if waiter is not None and not waiter.done():
                waiter.set_result(fault)
        self._expired = last
        self._tally.timeouts += last - first
        self._fail(fault.text, calls=last - first)

    def _fail(self, cause: str, *, calls: int = 1) -> None:
        self._failures += calls
        if self._failures >= FAILURES:
            self.abort(f"{FAILURES} calls failed in a row, the last: {cause}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Give each answer to who waits for it; where nobody does any more it is dropped."""
        reader, waiters = self._reader, self._waiters
        number, expired = self._answered, self._expired
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                waiter = waiters.popleft()
                number += 1
                if isinstance(reply, hiredis.ReplyError):
                    reply = self._refused(str(reply))
                elif number > expired:  # an answer that came too late proves nothing good
                    self._failures = 0
                if waiter is not None and not waiter.done():
                    waiter.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._tally.errors += 1
            self.abort(f"not the redis protocol, or an answer to no question: {error}")
        self._answered = number
        if not waiters:
            self._rest()

    def _refused(self, text: str) -> Fault:
        self._tally.errors += 1
        word = text.partition(" ")[0]
        if word == "READONLY":
            self.abort("redis became a replica")  # whoever is the primary now is found by connecting again
        elif word != "WRONGTYPE":  # which speaks of one key, not of the server
            self._fail(text)
        return Fault(text)

    def connection_lost(self, error: Exception | None) -> None:
        """Answer everyone who still waits."""
        self.abort(f"redis closed the connection: {error}" if error else "redis closed the connection")
        if self._sweeper is not None:
            self._sweeper.cancel()
        fault = Fault(self._cause)
        for waiter in self._waiters:
            if waiter is not None and not waiter.done():
                waiter.set_result(fault)
                self._tally.errors += 1
        self._waiters.clear()
        self._writes.clear()
        self._rest()
        if not self.lost.done():
            self.lost.set_result(self._cause)

    def _rest(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
