"""Options of an engine of our own -> a backend over it, which others may have too.

An engine is started by the first call, or by whoever opens a gateway, and ends with the last backend over it.
"""

from collections.abc import Iterable
from typing import Protocol, TypeGuard

from backends.base import Backend, Call, Reply
from backends.optional import figures_of
from backends.replicas.base import Figure
from cache.base import KV_STORE


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
        return figures_of(self._backend)

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
