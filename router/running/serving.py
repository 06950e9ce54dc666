"""An application -> connections taken until it is told to stop, and answers finished after that.

uvicorn's server, but for how it ends: no new connections at once, time for what runs, then an error to whoever still
waits. Knows nothing of what the application does, but for a word that it is stopping.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Literal, Protocol, cast

import uvicorn
from uvicorn.server import HANDLED_SIGNALS, ServerState

from router.base import STOPPED
from router.endpoints.at_once import WholeAnswer
from router.endpoints.chat import Scope, Send
from router.endpoints.wire import Receive
from router.listener import BoundedProtocol
from router.running.waiting_connections import WaitingConnections

KEEP_ALIVE: Final = 75  # seconds that an idle connection is kept
LINGER: Final = 0.1  # seconds at the end in which a caller's next request on its connection is still answered
CUT_WITHIN: Final = 0.4  # seconds in which an answer that is cut must have ended
LOOK_EVERY: Final = 0.02  # seconds between two looks whether all is answered

_CLOSES: Final = (b"connection", b"close")
_log = logging.getLogger(__name__)


class Application(Protocol):
    """What is served."""

    is_stopping: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through one lifespan."""
        ...

    def at_once(self, scope: Scope) -> WholeAnswer | None:
        """Answer a whole request that needs no task; None where that is the other's to do."""
        ...


class Server(uvicorn.Server):
    """A server that stops at SIGTERM or SIGINT, and at once at the second one.

    Args:
        application: is told when it stops.
        host, port: where it listens, unless it is given sockets.
        drain: seconds for running answers, asked for when it stops: a configuration may have changed it.
        begun: called when the first request can be taken.
        alongside: opens what runs beside it from then on.
    """

    def __init__(
        self,
        application: Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        drain: Callable[[], float],
        begun: Callable[[], None] = lambda: None,
        alongside: Callable[[], AbstractAsyncContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self._waiting = WaitingConnections()
        make = partial(BoundedProtocol, at_once=application.at_once, connected=self._waiting.look)
        super().__init__(options_of(application, lifespan="on", host=host, port=port, make=make))
        self._application, self._drain, self._begun = application, drain, begun
        self._alongside, self._beside = alongside, contextlib.AsyncExitStack()
        self._linger = LINGER

    def stop(self, *, linger: float = LINGER, within: float | None = None) -> None:
        """Stop; called again, do not wait for anybody any more.

        Args:
            linger: seconds in which callers whose connections are open may send another request.
            within: seconds for running answers, where not those of the configuration.
        """
        if self.should_exit:
            self.force_exit = True
            return
        self._linger = linger
        if within is not None:
            self._drain = lambda: within
        self._application.is_stopping = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application, then listen."""
        await super().startup(sockets)
        self._waiting.open(self.servers, self._protocol)
        try:
            await self._beside.enter_async_context(self._alongside())
        except OSError:
            await self.shutdown(sockets)
            raise
        self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, let answers end, cut those that have not in time, close the application."""
        clock = asyncio.get_running_loop().time
        begun, drain = clock(), self._drain()
        await self._beside.aclose()
        self._waiting.close()
        await asyncio.sleep(0)  # what has connected already is taken
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        self.config.encoded_headers = [*self.config.encoded_headers, _CLOSES]
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSES]
        lingers = True
        while not self.force_exit and clock() - begun < drain and (lingers or self.server_state.tasks):
            await asyncio.sleep(LOOK_EVERY)
            if lingers and clock() - begun >= min(self._linger, drain):
                lingers = False
                for connection in tuple(self.server_state.connections):
                    connection.shutdown()  # an idle one ends at once, another one with its answer
        await self._cut()
        await self.lifespan.shutdown()

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _cut(self) -> None:
        running = tuple(self.server_state.tasks)
        if running:
            _log.warning("%d answers had not ended in time and are cut", len(running))
            for task in running:
                task.cancel(STOPPED)
            await asyncio.wait(running, timeout=CUT_WITHIN)
        for connection in tuple(self.server_state.connections):
            connection.transport.close()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Obey signals while the block runs."""
        loop = asyncio.get_running_loop()
        for number in HANDLED_SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in HANDLED_SIGNALS:
                loop.remove_signal_handler(number)


Serves = Callable[[Scope, Receive, Send], Awaitable[None]]


def options_of(
    application: Serves,
    *,
    lifespan: Literal["on", "off"],
    host: str = "127.0.0.1",
    port: int = 0,
    make: Callable[..., asyncio.Protocol] = BoundedProtocol,
) -> uvicorn.Config:
    """Return how we listen, whatever is served.

    Args:
        make: makes what serves one connection.
    """
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=cast("type[asyncio.Protocol]", make),  # which is only called
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        lifespan=lifespan,
    )


@asynccontextmanager
async def serve_beside(application: Serves, *, host: str, port: int) -> AsyncGenerator[int, None]:
    """Serve a second application on the running loop while the block runs; yields the port.

    Raises:
        OSError: nobody can listen there.
    """
    options = options_of(application, lifespan="off")
    options.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config=options, server_state=state, app_state={}), host, port
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(tuple(state.tasks), timeout=CUT_WITHIN)


def bound(host: str, port: int) -> Sequence[socket.socket]:
    """Return sockets on every address of a host that others of ours can share; none of them takes connections yet.

    Args:
        port: 0 lets the system choose one.

    Raises:
        OSError: the address is taken, or none of this machine's.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as failed:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            each = failed.enter_context(socket.socket(family, kind, protocol))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if sockets else port
            each.bind((address[0], chosen, *address[2:]))
            sockets.append(each)
        failed.pop_all()
    return sockets
