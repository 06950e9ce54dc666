"""router/running/waiting_connections.py: who connects while the loop is busy waits no longer for those before."""

import asyncio
import socket
from pathlib import Path

import uvloop

from router.app import Tandem
from router.running.serving import Server, bound
from router.running.waiting_connections import AT_ONCE, WaitingConnections
from tests.router.conftest import config_of

WAITING = AT_ONCE + 6


class Counting(asyncio.Protocol):
    """Counts connections and tells each caller that it is heard."""

    def __init__(self, made: list[asyncio.BaseTransport], waiting: WaitingConnections) -> None:
        self._made, self._waiting = made, waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.append(transport)
        self._waiting.look()

    def data_received(self, data: bytes) -> None:
        for transport in self._made:
            assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self._made[-1].write(data)  # type: ignore[attr-defined]  # the last one is a socket's, too


async def rounds_until_all_are_taken(*, looks: bool) -> int:
    """Let many connect in one moment, and return the loop's rounds until each of them is served."""
    loop = asyncio.get_running_loop()
    made: list[asyncio.BaseTransport] = []
    waiting = WaitingConnections()
    server = await loop.create_server(lambda: Counting(made, waiting), "127.0.0.1", 0, backlog=2 * WAITING)
    if looks:
        waiting.open([server], lambda: Counting(made, waiting))
    callers = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(WAITING)]
    rounds = 0
    while len(made) < WAITING:
        rounds += 1
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(sock=callers.pop())
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    waiting.close()
    server.close()
    writer.close()
    for caller in callers:
        caller.close()
    for transport in made:
        transport.close()
    await asyncio.sleep(0.01)
    return rounds


def test_connections_that_wait_are_taken_together_and_not_one_in_each_round() -> None:
    assert uvloop.run(rounds_until_all_are_taken(looks=False)) >= WAITING
    assert uvloop.run(rounds_until_all_are_taken(looks=True)) < WAITING / 4


async def rounds_of_a_gateway(folder: Path) -> int:
    """Let many connect to a gateway in one moment, and return the loop's rounds until each of them is served."""
    sockets = bound("127.0.0.1", 0)
    begun = asyncio.Event()
    server = Server(Tandem(config_of(folder)), drain=lambda: 0.0, begun=begun.set)
    serving = asyncio.create_task(server.serve(list(sockets)))
    await begun.wait()
    callers = [socket.create_connection(sockets[0].getsockname()) for _ in range(WAITING)]
    rounds = 0
    while len(server.server_state.connections) < WAITING:
        rounds += 1
        await asyncio.sleep(0)
    for caller in callers:
        caller.close()
    server.stop(linger=0.0)
    await serving
    return rounds


def test_a_gateway_takes_them_together(tmp_path: Path) -> None:
    assert uvloop.run(rounds_of_a_gateway(tmp_path)) < WAITING / 4


async def test_what_connected_before_the_end_is_taken_with_the_last_look() -> None:
    made: list[asyncio.BaseTransport] = []
    waiting = WaitingConnections()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = await asyncio.get_running_loop().create_server(
            lambda: Counting(made, waiting), sock=listening, start_serving=False
        )
        waiting.open([server], lambda: Counting(made, waiting))
        with socket.create_connection(listening.getsockname()):
            waiting.close()
            async with asyncio.timeout(1):
                while not made:
                    await asyncio.sleep(0)
            made[0].close()
        server.close()
    waiting.look()
    await asyncio.sleep(0.01)
    assert len(made) == 1
