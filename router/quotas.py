"""Configuration and ledger -> the limits of all tenants, ready to admit.

What tenants have used outlives a configuration: quotas are opened once for a process, and take one configuration after
another. What was spent before comes out of the ledger. With several workers the limits are counted in Redis.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from msgspec.structs import replace

from backends.capabilities import Capabilities
from cache.base import StoreAway
from cache.shared_limits import SharedLimits
from router.base import Price, Request, Tier, Unavailable
from router.config.faults import ConfigError, Fault
from router.config.limits import AllowanceOptions
from router.config.models import Config
from router.guards.limits.base import Limits, Use
from router.guards.limits.local import LocalLimits
from router.guards.limits.pacing import price_of
from router.guards.limits.shared import WorkersLimits, accounts_of, raise_ceiling
from router.guards.limits.tenants import Tenants
from router.guards.limits.worst_case import WorstCase
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.spending import read_spending
from router.policies.paced import Pace

ANSWER_TOKENS: Final = 16_384  # where neither the file nor a backend says how long an answer may be

_READY: Final = 1.0  # seconds, after which we start without Redis and go on trying


class Quotas:
    """What all tenants have used, of everything that is limited.

    Args:
        ledger: where it is; somebody has opened it for writing. A path is that of an SQLite file.
    """

    def __init__(self, ledger: LedgerPlace | Path) -> None:
        self._ledger, self._worker, self._workers = ledger, "", 1
        self._tenants: Tenants | None = None
        self._shared: SharedLimits | None = None
        self._is_shared = False
        self._paces: Mapping[str, Pace] = {}

    def __repr__(self) -> str:
        return f"<Quotas {self._tenants} {self._shared or 'of one process'}>"

    async def revise(self, config: Config, *, worker: str, workers: int = 1, redis_url: str | None = None) -> None:
        """Take the limits of a configuration; what was used stays used.

        By how many the limits are shared is settled by the first configuration, and where by the first that has any.

        Args:
            worker: names this process in the ids of its requests; see `router.ledger.ids.maker_of`.
            workers: processes that answer under this configuration.
            redis_url: that replies are kept in; None where they are kept elsewhere.

        Raises:
            ConfigError: the limits cannot be shared, or not so that budgets are safe.
            Unavailable: the ledger cannot be read.
        """
        options, names = config.limits, config.tenant_names
        self._worker = worker
        by_name = {name: options.of(tenant) for name, tenant in config.tenants.items()}
        if self._tenants is None:
            self._is_shared = workers > 1 if options.shared is None else options.shared
            self._workers = workers if self._is_shared else 1
            self._tenants = Tenants((), others=options.others, by_name={}, workers=self._workers)
        unread = self._tenants.revise(names, others=options.others, by_name=by_name)
        spent = await self._spending({use.name: float(use.window) for use in unread})
        for use in unread:
            makers = spent[use.name]
            total = sum(makers.values())
            use.spent = makers.get(self._worker, 0) if self._is_shared else total
            use.elsewhere = total - use.spent
        self._pace(config)
        if self._is_shared and self._shared is None and not self._tenants.are_endless:
            await self._share(options.url or redis_url)

    def limits(
        self, price_of: Callable[[Tier], Price | None], tiers: Iterable[Tier], *, answer: int, cascades: bool = False
    ) -> Limits:
        """Return what admits requests; `revise` comes first.

        Args:
            price_of: today's price of a tier's model.
            answer: tokens that are reserved for an answer whose request names no limit.
            cascades: Mini may be asked twice, and Large after it.

        Raises:
            ConfigError: there is a budget, and a model without a price.
        """
        if self._tenants is None:
            raise RuntimeError("limits are of a configuration; take one first")
        missing = [tier.value for tier in tiers if price_of(tier) is None]
        if missing and self._tenants.have_budgets:
            _refuse(
                "tenants", f"a budget cannot be kept without a price for {' and '.join(missing)}; add it to the book"
            )
        worst_case = WorstCase(price_of, answer=answer, cascades=cascades)
        if self._shared is None:
            return LocalLimits(self._tenants, worst_case)
        return WorkersLimits(self._tenants, worst_case, self._shared)

    def pace_of(self, request: Request) -> Pace | None:
        """Return how a request's tenant is to be answered; None where its budget bends nothing.

        Asked twice for a request, without a wait in between, it says the same: time is that at which the request came.
        """
        pace, tenants = self._paces.get(request.tenant), self._tenants
        use = None if pace is None or tenants is None else tenants.present(request.tenant)
        if pace is None or use is None:
            return pace
        price = price_of(use, request.received, most=pace.highest)
        return replace(pace, price=price) if price else pace

    @property
    def paces(self) -> bool:
        """Tell whether any tenant's requests give way to its budget."""
        return bool(self._paces)

    def budgets(self) -> Sequence[Use]:
        """Return what those have used whose money is limited, each in its present window."""
        return [] if self._tenants is None else self._tenants.budgeted()

    async def aclose(self) -> None:
        """Close the connection to Redis."""
        if self._shared is not None:
            await self._shared.aclose()

    def _pace(self, config: Config) -> None:
        """Take who gives way to its budget."""
        options, others = config.limits, AllowanceOptions()
        paces = {name: options.pace_of(config.tenants.get(name, others)) for name in config.tenant_names}
        self._paces = {name: pace for name, pace in paces.items() if pace is not None}

    async def _share(self, url: str | None) -> None:
        tenants = self._tenants
        if tenants is None or url is None:
            _refuse("limits.url", "several workers count their limits in a Redis, and there is none; name one here")
        shared = self._shared = SharedLimits(
            url,
            worker=self._worker,
            workers=self._workers,
            accounts=partial(accounts_of, tenants),
            elsewhere=self._elsewhere,
            raised=partial(_raised, tenants),
            lasting=lambda: tenants.have_budgets,
        )
        if not await shared.ready(_READY) and shared.is_forgetful:
            await shared.aclose()
            self._shared = None
            _refuse("limits.url", shared.cause)

    async def _elsewhere(self) -> Mapping[str, Mapping[str, int]]:
        """Return what others have spent; see `cache.shared_limits.SharedLimits`."""
        uses = [] if self._tenants is None else self._tenants.budgeted()
        try:
            spent = await self._spending({use.name: float(use.window) for use in uses})
        except Unavailable as error:
            raise StoreAway(str(error)) from error
        return {
            name: {maker: each for maker, each in makers.items() if maker != self._worker}
            for name, makers in spent.items()
        }

    async def _spending(self, since: Mapping[str, float]) -> dict[str, dict[str, int]]:
        if not since:
            return {}
        try:
            return await asyncio.to_thread(read_spending, self._ledger, since)
        except LedgerUnreadable as error:
            raise Unavailable(f"what was spent is not known: {error}", code="ledger_unavailable") from error


def longest_answer(chosen: int | None, backends: Iterable[Capabilities]) -> int:
    """Return the tokens that are reserved for an answer whose request names no limit."""
    contexts = [can.context_tokens for can in backends if can.context_tokens is not None]
    return chosen or max(contexts, default=ANSWER_TOKENS)


def _raised(tenants: Tenants, name: str, ceiling: int, since: float) -> None:
    use = tenants.uses.get(name)
    if use is not None:
        raise_ceiling(use, ceiling, since)


def _refuse(path: str, message: str) -> NoReturn:
    raise ConfigError((Fault("", 1, 1, path, message),))
