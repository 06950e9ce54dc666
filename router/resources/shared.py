"""What outlives a configuration: the ledger, the cache's server and secret, and the engines of our own.

A gateway stands on resources, and so does the one that takes its place when the configuration changes: the ledger keeps
its writer, conversations keep their salts, and an engine that both of them want goes on running. Of several workers
the parent opens the cache's server and the engines once, and tells each worker where they are.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeGuard

from msgspec import Struct

from backends.base import Backend, Call, Reply
from backends.replicas.base import Figure
from cache.base import KV_STORE
from cache.options import CacheOptions, Shared, open_shared
from router.base import Ledger
from router.config.kinds import BackendOptions
from router.ledger.sqlite import SqliteLedger
from router.quotas import Quotas


class Engine(Protocol):
    """A process of ours that answers calls."""

    async def url(self) -> str:
        """Return where it answers, once it does."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


class EngineOptions(Protocol):
    """Options of a backend with a process of ours behind it, to which other processes can have a backend too."""

    def build(self) -> Engine:
        """Return the engine, not yet started."""
        ...

    def build_with_store(self, store: str, *, url: str, secret: str) -> Engine:
        """Return the engine, with prefix KV in a store."""
        ...

    def reach(self, url: str) -> Backend:
        """Return a backend over one that runs."""
        ...

    def model_dump_json(self, *, exclude: set[str]) -> str:
        """Return what was chosen, but for some of it."""
        ...


class Inherited(Struct, frozen=True):
    """Where workers find what their parent has opened for them.

    Attributes:
        secret: of the cache, hexadecimal digits.
        private_url: of the private Redis; None where there is none.
        engines: base URLs by `engine_key`.
    """

    secret: str
    private_url: str | None
    engines: Mapping[str, str]


class Resources:
    """What gateways stand on, one after the other.

    Attributes:
        ledger: what all records go to.
        quotas: what tenants have used.
        inherited: of what a parent has opened, which it may tell anew; None where this process opens everything.
    """

    def __init__(
        self, ledger: Ledger, quotas: Quotas, owned: AsyncExitStack, inherited: Inherited | None = None
    ) -> None:
        """Take what closes the servers that will be started, too."""
        self.ledger, self.quotas, self.inherited = ledger, quotas, inherited
        self._cache = SharedCache(owned)
        self._engines = Engines()

    async def shared(self, options: CacheOptions) -> Shared:
        """Return what kept replies have in common, under these options and later ones."""
        found = self.inherited
        return (
            await self._cache.under(options)
            if found is None
            else Shared(bytes.fromhex(found.secret), found.private_url)
        )

    def backend(self, options: BackendOptions, *, url: str | None, secret: bytes) -> Backend:
        """Return a backend; an engine of our own ends with the last backend over it.

        Args:
            url: of the Redis in which engines keep prefix KV; None where there is none.
            secret: with which they sign it.
        """
        if not is_engine(options):
            return options.build()
        if self.inherited is not None:
            return options.reach(self.inherited.engines[engine_key(options)])
        return self._engines.lease(options, url=url, secret=secret)


@asynccontextmanager
async def open_resources(ledger: Path, inherited: Inherited | None = None) -> AsyncGenerator[Resources, None]:
    """Yield resources; engines and servers are started when a gateway wants them.

    Args:
        inherited: of what the parent of this process has opened; the ledger is then held by the parent, too.

    Raises:
        Unavailable: the ledger is in use or cannot be written.
    """
    async with AsyncExitStack() as owned:
        writer = SqliteLedger(ledger, loop=asyncio.get_running_loop(), is_held=inherited is not None)
        owned.push_async_callback(writer.aclose)
        quotas = Quotas(ledger)
        owned.push_async_callback(quotas.aclose)
        yield Resources(writer, quotas, owned, inherited)


class SharedCache:
    """The secret and the private server that all configurations have in common, one after the other."""

    def __init__(self, owned: AsyncExitStack) -> None:
        self._owned = owned
        self._opened: Shared | None = None

    async def under(self, options: CacheOptions) -> Shared:
        """Return them; the server is started where these options are the first to want one."""
        before, wants_server = self._opened, options.enabled and options.url is None
        if before is None or (before.private_url is None and wants_server):
            opened = await self._owned.enter_async_context(open_shared(options))
            self._opened = opened if before is None else Shared(before.secret, opened.private_url)
            return self._opened
        return before


class Engines:
    """Engines of our own, each of which runs for as long as somebody has a lease of it."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Engine, set[Lease]]] = {}

    def lease(self, options: EngineOptions, *, url: str | None, secret: bytes) -> "Lease":
        """Return a backend over the engine that these options choose, which may run already; it is not started here."""
        key = engine_key(options)
        if key not in self._running:
            built = options.build() if url is None else options.build_with_store(KV_STORE, url=url, secret=secret.hex())
            self._running[key] = (built, set())
        engine, leases = self._running[key]
        lease = Lease(options, engine, self)
        leases.add(lease)
        return lease

    async def give_back(self, lease: "Lease") -> None:
        """End the engine with its last lease."""
        key = engine_key(lease.options)
        engine, leases = self._running[key]
        leases.discard(lease)
        if not leases:
            del self._running[key]
            await engine.aclose()


class Lease:
    """A backend over an engine that others may use too.

    Attributes:
        engine: started by whoever asks first.
    """

    def __init__(self, options: EngineOptions, engine: Engine, engines: Engines) -> None:
        self.options, self.engine = options, engine
        self._engines = engines
        self._backend: Backend | None = None
        self._ended = False

    async def start(self) -> None:
        """Return once the engine answers.

        Raises:
            BackendError: it does not; the text says why.
        """
        await self._reached()

    async def send(self, call: Call) -> Reply:
        """Return a reply; see `Backend.send`."""
        backend = self._backend or await self._reached()
        return await backend.send(call)

    async def is_ready(self) -> bool:
        """Tell whether the engine runs and says that it is ready; starts nothing."""
        return self._backend is not None and await self._backend.is_ready()

    def figures(self) -> Iterable[Figure]:
        """Return what is counted of calls; see `router.metrics`."""
        tell: Callable[[], Iterable[Figure]] = getattr(self._backend, "figures", tuple)
        return tell()

    async def aclose(self) -> None:
        """Close the connections, and end the engine where nobody else needs it."""
        if self._ended:
            return
        self._ended = True
        if self._backend is not None:
            await self._backend.aclose()
        await self._engines.give_back(self)

    async def _reached(self) -> Backend:
        url = await self.engine.url()
        if self._backend is None:
            self._backend = self.options.reach(url)
        return self._backend


def is_engine(options: object) -> TypeGuard[EngineOptions]:
    """Tell whether these options choose an engine of our own."""
    return hasattr(options, "reach")


def engine_key(options: EngineOptions) -> str:
    """Return what is equal where the same engine serves; what is said of it, and not to it, is no part of that."""
    return options.model_dump_json(exclude={"price", "capabilities", "limits"})
