"""Redis commands -> the answers that came in time, on one blocking connection.

For threads that have no event loop. The deadline is of all answers together: a server that sends a byte now and then
cannot hold a caller longer, as it could where each read has a timeout of its own. Knows nothing of keys or values.
"""

import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final

import hiredis

from cache.addresses import Address
from cache.base import StoreAway
from cache.connection import Fault, opening_of

_BUFFER_BYTES: Final = 1 << 20
_INCOMPLETE: Final = object()

Answer = bytes | int | Fault | list["Answer"] | None


class BlockingConnection:
    """One connection, used by one thread at a time; made by `dial`.

    Attributes:
        cause: why it has ended; "" while it can be used.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.cause = ""
        self._sock = sock
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE, replyError=Fault)
        self._buffer = bytearray(_BUFFER_BYTES)

    def __repr__(self) -> str:
        return f"<BlockingConnection {self.cause or 'usable'}>"

    def ask(self, commands: Sequence[Sequence[bytes]], *, deadline: float) -> list[Answer]:
        """Return the answers that came before the deadline, in order; where they are fewer, the connection has ended.

        Args:
            commands: sent in one write.
            deadline: of `time.monotonic`.
        """
        answers: list[Answer] = []
        try:
            self._sock.settimeout(_left(deadline))
            self._sock.sendall(b"".join(hiredis.pack_command(tuple(command)) for command in commands))
            while len(answers) < len(commands):
                answer = self._reader.gets()
                if answer is _INCOMPLETE:
                    self._read(deadline)
                else:
                    answers.append(answer)
        except TimeoutError:
            self.close("no answer in time")
        except (OSError, hiredis.HiredisError) as error:
            self.close(str(error) or type(error).__name__)
        return answers

    def close(self, cause: str) -> None:
        """End at once."""
        self.cause = self.cause or cause
        self._sock.close()

    def _read(self, deadline: float) -> None:
        self._sock.settimeout(_left(deadline))
        size = self._sock.recv_into(self._buffer)
        if not size:
            raise ConnectionResetError("redis closed the connection")
        self._reader.feed(self._buffer, 0, size)


def dial(address: Address, *, deadline: float) -> BlockingConnection:
    """Return a connection that has entered, chosen its database and answered PING before the deadline.

    Raises:
        StoreAway: nobody is there, or the server refused or was too slow.
    """
    try:
        connection = BlockingConnection(_socket_to(address, deadline))
    except OSError as error:
        raise StoreAway(f"redis cannot be reached: {error or 'no connection in time'}") from error
    opening = opening_of(address)
    answers = connection.ask(opening, deadline=deadline)
    refused = next((answer.text for answer in answers if isinstance(answer, Fault)), "")
    if refused or len(answers) < len(opening):
        connection.close(refused)
        raise StoreAway(f"redis does not let us in: {connection.cause}")
    return connection


def _socket_to(address: Address, deadline: float) -> socket.socket:
    if not address.path:
        sock = socket.create_connection((address.host, address.port), timeout=_left(deadline))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _in_tls(sock, address.host) if address.tls else sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address.path)
    except OSError:
        sock.close()
        raise
    return sock


def _in_tls(sock: socket.socket, host: str) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
