"""What outlives a configuration: the ledger, the cache's server and secret, and the engines of our own.

A gateway stands on resources, and so does the one that takes its place when the configuration changes: the ledger keeps
its writer, conversations keep their salts, and an engine that both of them want goes on running. Of several workers
the parent opens the cache's server and the engines once, and tells each worker where they are.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from backends.base import Backend
from cache.options import CacheOptions, Shared, open_shared
from cache.steady_redis import CAUSES
from router.alerts.opening import Alerts
from router.base import Ledger
from router.config.kinds import BackendOptions
from router.ledger.place import LedgerPlace
from router.ledger.retention import Retention
from router.ledger.writer import LedgerWriter
from router.quotas import Quotas
from router.resources.engines import Engines, engine_key, is_engine


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
        alerts: what watches requests.
        is_refused: tells whether the ledger takes nothing now, so that no request is answered.
        cache: what kept replies have in common; tells how its server fares.
        inherited: of what a parent has opened, which it may tell anew; None where this process opens everything.
    """

    def __init__(
        self,
        ledger: Ledger,
        quotas: Quotas,
        alerts: Alerts,
        owned: AsyncExitStack,
        inherited: Inherited | None = None,
        *,
        is_refused: Callable[[], bool],
    ) -> None:
        """Take what closes the servers that will be started, too."""
        self.ledger, self.quotas, self.alerts, self.inherited = ledger, quotas, alerts, inherited
        self.is_refused = is_refused
        self.cache = SharedCache(owned)
        self._engines = Engines()

    async def shared(self, options: CacheOptions) -> Shared:
        """Return what kept replies have in common, under these options and later ones."""
        if self.inherited is not None:
            return Shared(bytes.fromhex(self.inherited.secret), self.inherited.private_url)
        return await self.cache.under(options)

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
async def open_resources(
    ledger: LedgerPlace | Path, inherited: Inherited | None = None, *, retention: Retention | None = None
) -> AsyncGenerator[Resources, None]:
    """Yield resources; engines and servers are started when a gateway wants them.

    Args:
        ledger: where it is; a path is that of an SQLite file.
        retention: for how long what of it is kept; None keeps everything.
        inherited: of what the parent of this process has opened; the ledger is then held by the parent, too.

    Raises:
        Unavailable: the ledger is in use or cannot be written.
    """
    async with AsyncExitStack() as owned:
        loop = asyncio.get_running_loop()
        writer = LedgerWriter(ledger, loop=loop, is_held=inherited is not None, retention=retention)
        owned.push_async_callback(writer.aclose)
        quotas = Quotas(ledger)
        owned.push_async_callback(quotas.aclose)
        alerts = Alerts(ledger, quotas.budgets)
        owned.push_async_callback(alerts.aclose)
        yield Resources(writer, quotas, alerts, owned, inherited, is_refused=writer.is_refused)


class SharedCache(Collector):
    """The secret and the private server that all configurations have in common, one after the other."""

    def __init__(self, owned: AsyncExitStack) -> None:
        self._owned = owned
        self._opened: Shared | None = None

    async def under(self, options: CacheOptions) -> Shared:
        """Return them; the server is started where these options are the first to want one."""
        before, wants_server = self._opened, options.enabled and options.url is None
        if before is None or (before.private_url is None and wants_server):
            opened = await self._owned.enter_async_context(open_shared(options))
            self._opened = opened if before is None else replace(opened, secret=before.secret)
            return self._opened
        return before

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told of the private server, where this process has one."""
        server = None if self._opened is None else self._opened.server
        if server is None:
            return
        words = "Times that the private Redis was gone, and another one took its place"
        restarts = CounterMetricFamily("tandem_private_redis_restarts", words, labels=("cause",))
        for cause in CAUSES:
            restarts.add_metric([cause], server.restarts.get(cause, 0))
        yield restarts
