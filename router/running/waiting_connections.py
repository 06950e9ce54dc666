"""A connection that was taken -> the others that wait beside it, taken as well.

The loop takes one connection from a listener in each of its rounds, and a round is long while much is to be done: who
connects then would wait for as many rounds as others have connected before. So the first one is followed by a look for
more.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final

AT_ONCE: Final = 64
"""Connections that one look takes; where there are more, the next one follows in the next round."""


class WaitingConnections:
    """What waits at the sockets of some servers; touched by the loop alone."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._is_due = False

    def open(self, servers: Iterable[asyncio.Server], make: Callable[[], asyncio.Protocol]) -> None:
        """Begin to look where these listen.

        Args:
            make: makes what serves one connection.
        """
        self._loop, self._make = asyncio.get_running_loop(), make
        for each in (listening for server in servers for listening in server.sockets):
            own = socket.socket(fileno=os.dup(each.fileno()))  # the loop's own is not to be read by others
            own.settimeout(0)
            self._sockets.append(own)

    def look(self) -> None:
        """Look in the next round."""
        if self._sockets and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._take)

    def close(self) -> None:
        """Look for the last time."""
        self._take()
        while self._sockets:
            self._sockets.pop().close()

    def _take(self) -> None:
        self._is_due = False
        for listening in self._sockets:
            for _ in range(AT_ONCE):
                try:
                    connection, _address = listening.accept()
                except OSError:  # nobody waits any more; where it is more than that, the loop's own look tells it
                    break
                beginning = self._loop.create_task(self._begin(connection))
                self._beginning.add(beginning)
                beginning.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:  # it was lost meanwhile
            connection.close()
