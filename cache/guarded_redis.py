"""Commands from many threads -> answers of one Redis in time, or none at once while it is away.

Keeps connections that were used, each for one thread at a time. Nothing here raises. Whoever owns it calls `mend` now
and then from a thread of its own, so that finding out whether the server is back costs no caller anything.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from cache.addresses import Address
from cache.base import StoreAway
from cache.blocking import Answer, BlockingConnection, dial
from cache.circuit import Circuit

_IDLE: Final = 8  # connections that are kept for the next callers
_DIAL_SECONDS: Final = 1.0  # in `mend`: opening a TLS connection may take longer than a call may
_LOOK_SECONDS: Final = 0.25  # how late `mend` may be to see that a caller was failed
_PROBE_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


class GuardedRedis:
    """One server behind a circuit breaker.

    Attributes:
        late: calls of which some answers came too late, or all.
    """

    def __init__(self, address: Address) -> None:
        self.late = 0
        self._address = address
        self._circuit = Circuit()
        self._idle: list[BlockingConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<GuardedRedis {self._circuit}>"

    @property
    def is_away(self) -> bool:
        """Tell whether calls return at once, without answers."""
        return self._closed or self._circuit.is_open

    def ask(self, commands: Sequence[Sequence[bytes]], *, within: float) -> list[Answer]:
        """Return the answers that came within so many seconds, in order: all, the first few, or none."""
        if self.is_away or within <= 0:
            return []
        deadline = time.monotonic() + within
        try:
            connection = self._take() or dial(self._address, deadline=deadline)
        except StoreAway as error:
            self.fail(str(error))
            return []
        answers = connection.ask(commands, deadline=deadline)
        if len(answers) == len(commands):
            self._give(connection)
            return answers
        with self._lock:
            self.late += 1
        # A server that sent a part in time is there, and asked for too much at once.
        if not answers:
            self.fail(connection.cause)
        return answers

    def fail(self, cause: str) -> None:
        """Take note that an answer, or its lack, shows a server that cannot be used."""
        with self._lock:
            says = self._circuit.fail(cause, time.monotonic()) and not self._closed
            idle, self._idle = self._idle, []
        for connection in idle:  # they lead to the same server
            connection.close(cause)
        if says:
            _log.warning("redis is away, prefix kv is computed and not kept: %s", cause)

    def mend(self) -> float:
        """Probe where that is due, and return the seconds after which to come again; waits, so it needs a thread."""
        if self._closed or (self._idle and not self._circuit.is_open):
            return _LOOK_SECONDS
        if self._circuit.is_open and (wait := self._circuit.until_probe(time.monotonic())):
            return wait
        try:
            connection = dial(self._address, deadline=time.monotonic() + _DIAL_SECONDS)
        except StoreAway as error:
            self.fail(str(error))
            return self._circuit.until_probe(time.monotonic())
        if not connection.ask([(b"PING",)], deadline=time.monotonic() + _PROBE_SECONDS):
            self.fail(connection.cause)
            return self._circuit.until_probe(time.monotonic())
        self._give(connection)
        with self._lock:
            says = self._circuit.close()
        if says:
            _log.info("redis is back")
        return _LOOK_SECONDS

    def close(self) -> None:
        """Close the connections; calls return without answers from now on."""
        self._closed = True
        self.fail("closed")

    def _take(self) -> BlockingConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give(self, connection: BlockingConnection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE and not self._closed:
                self._idle.append(connection)
                return
        connection.close("not needed")
