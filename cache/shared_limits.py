"""Limits that several workers share -> one step in Redis for each request, or word at once that Redis is away.

Keeps one pipelined connection of its own. A worker introduces itself before it asks: it tells what it has spent, what
it has in flight and what it may still spend by itself, so that a server that forgot everything knows all of it again.
Knows nothing of requests, of prices or of what is done while Redis is away; what the steps are stands in the script.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha1
from typing import Final

from msgspec import Struct

from cache.addresses import read_address
from cache.base import StoreAway
from cache.connection import Answer, Connection, Fault, Tally, connect
from cache.limits_script import SCRIPT

LASTS: Final = 30.0  # seconds, that what is in flight or may be spent alone is counted without another word
RENEWED: Final = 10.0  # seconds between such words
NO_LIMIT: Final = -1
MILLION: Final = 1_000_000

_PREFIX: Final = b"tandem:limits:"
_PAUSE_FIRST: Final = 0.1  # seconds before the first new attempt to connect
_PAUSE_LONGEST: Final = 2.0
_QUIET: Final = 0.005  # seconds between looks whether everything was answered
_SCRIPT: Final = SCRIPT.encode()
_DIGEST: Final = sha1(_SCRIPT, usedforsecurity=False).hexdigest().encode()

_log = logging.getLogger(__name__)


class Tenant(Struct, frozen=True):
    """Whose limits, and what this worker knows of its budget; money in nano-USD.

    Attributes:
        span: the budget's, in a word.
        budget: `NO_LIMIT` where there is none.
        window: when the budget's present window began, seconds since 1970.
        spent: by this worker, in that window.
        held: the sum of spent and reserved money up to which it may go by itself.
    """

    name: str
    span: str
    budget: int
    window: int
    spent: int
    held: int


class Account(Struct, frozen=True):
    """All that a worker tells of a tenant when it introduces itself.

    Attributes:
        leases: of what is in flight; see `SharedLimits.lease`.
    """

    tenant: Tenant
    leases: Sequence[str]


class Ask(Struct, frozen=True):
    """What one request needs, and what is allowed; `NO_LIMIT` where there is none.

    Attributes:
        requests, tokens: a minute.
        running: at a time.
        need: tokens of this one.
        amount: nano-USD that it may cost at most.
        lease: its name while it is in flight; "" where neither its room nor its money is limited.
    """

    requests: int
    tokens: int
    running: int
    need: int
    amount: int
    lease: str


class Grant(Struct, frozen=True):
    """What Redis said.

    Attributes:
        met: the limit that was met: "requests", "tokens", "in_flight", "reserved" or "budget"; "" where it may go on.
        wait: seconds until it might, 0.0 where nobody knows.
        requests, tokens: how many count now.
        ceiling: as `Tenant.held`, from now on.
        spent: nano-USD of the budget's present window, by all workers together, as far as they have said.
    """

    met: str
    wait: float
    requests: float
    tokens: float
    ceiling: int
    spent: int


class SharedLimits:
    """The limits of all workers that use one Redis.

    Args:
        url: as `cache.addresses.read_address` reads it.
        worker: names this process; letters and digits.
        workers: how many there are; nothing is admitted here before all of them have introduced themselves.
        accounts: of all limited tenants, as they are now.
        elsewhere: what other workers have spent in the present window, by tenant and worker; read anew each time.
        raised: told of a tenant's new ceiling, and when it was asked for, by `time.monotonic`; it holds for `LASTS`.
        lasting: tells whether something is counted that must not be forgotten.

    Attributes:
        is_joined: Redis can be asked.
        is_forgetful: it may evict what must not vanish, and so is not asked.
        cause: why it cannot; "" where nothing was tried yet.

    Raises:
        ValueError: the URL names no server.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        workers: int,
        accounts: Callable[[], Sequence[Account]],
        elsewhere: Callable[[], Awaitable[Mapping[str, Mapping[str, int]]]],
        raised: Callable[[str, int, float], None],
        lasting: Callable[[], bool],
    ) -> None:
        self._address = read_address(url)
        self._worker, self._workers, self._lasting = worker.encode(), workers, lasting
        self._accounts, self._elsewhere, self._raised = accounts, elsewhere, raised
        self._tally = Tally()
        self._connection: Connection | None = None
        self._pending = self._sequence = 0
        self._faulted = asyncio.Event()
        self._tried = asyncio.Event()
        self.is_joined = self.is_forgetful = False
        self.cause = ""
        self._common = (b"%d" % int(LASTS * MILLION), b"%d" % workers)
        self._keeper = asyncio.create_task(self._keep(), name="shared limits")

    def __repr__(self) -> str:
        return f"<SharedLimits {'joined' if self.is_joined else f'away: {self.cause}'}>"

    def lease(self, amount: int) -> str:
        """Return a new name for what is in flight, which reserves so many nano-USD."""
        self._sequence += 1
        return f"{self._worker.decode()}:{self._sequence}:{amount}"

    async def ready(self, seconds: float) -> bool:
        """Wait until Redis can be asked or was tried in vain, and tell whether it can."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._tried.wait()
        return self.is_joined

    async def admit(self, tenant: Tenant, ask: Ask) -> Grant | None:
        """Take what a request needs, or nothing; None where Redis gave no answer, and surely nothing is held there."""
        connection = self._connection
        if connection is None or not self.is_joined:
            return None
        needs = (ask.requests, ask.tokens, ask.running, ask.need * MILLION, ask.amount)
        asked = self._ask(connection, b"admit", tenant, *(b"%d" % number for number in needs), ask.lease.encode())
        self._pending += 1
        try:
            answer = await asked
        except asyncio.CancelledError:  # the caller left, and Redis may take it all the same
            self.settle(tenant, ask, correction=0)
            raise
        finally:
            self._pending -= 1
        if not isinstance(answer, bytes):
            self._lose(answer)
            return None
        word, wait, requests, tokens, ceiling, spent = answer.decode().split(" ")
        if word in ("unknown", "gathering"):
            self._lose(Fault(f"not all of {self._workers} workers have introduced themselves"))
            return None
        met = "" if word == "ok" else word
        return Grant(met, int(wait) / MILLION, int(requests) / MILLION, int(tokens) / MILLION, int(ceiling), int(spent))

    def settle(self, tenant: Tenant, ask: Ask, *, correction: int) -> None:
        """Give back what a request held; returns at once, never raises.

        Args:
            correction: tokens that it took beyond those it was admitted with, or less than 0.
        """
        if self._connection is None or not self.is_joined or not (ask.lease or correction):
            return  # nothing is held; or else what is in flight is told again when Redis is back
        limits = (ask.requests, ask.tokens, correction * MILLION)
        self._tell(self._connection, b"settle", tenant, *(b"%d" % each for each in limits), ask.lease.encode())

    async def aclose(self) -> None:
        """Send what was handed over, within a second, and close."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await connection.drain()
        self._keeper.cancel()
        await asyncio.wait({self._keeper})

    def _command(self, op: bytes, tenant: Tenant, *more: bytes) -> tuple[bytes, ...]:
        of_tenant = _PREFIX + tenant.name.encode()
        of_budget = b"%s:%s:" % (of_tenant, tenant.span.encode())
        known = (tenant.budget, tenant.window, tenant.spent, tenant.held)
        return (
            *(b"EVALSHA", _DIGEST, b"5", _PREFIX + b"members", of_tenant + b":levels", of_tenant + b":leases"),
            *(of_budget + b"accounts", of_budget + b"ceilings"),
            *(op, self._worker, *(b"%d" % number for number in known), *self._common, *more),
        )

    def _ask(self, connection: Connection, op: bytes, tenant: Tenant, *more: bytes) -> asyncio.Future[Answer]:
        return connection.ask(*self._command(op, tenant, *more))

    def _tell(self, connection: Connection, op: bytes, tenant: Tenant, *more: bytes) -> None:
        connection.tell(*self._command(op, tenant, *more))

    def _lose(self, answer: object) -> None:
        """Take note that Redis did not answer as it should: this worker introduces itself anew."""
        self.is_joined = False
        self.cause = answer.text if isinstance(answer, Fault) else "redis gave an answer of another kind"
        self._faulted.set()

    def _wake(self, _lost: asyncio.Future[str]) -> None:
        self._faulted.set()

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _PAUSE_FIRST
        while True:
            began = clock()
            try:
                connection = await connect(self._address, self._tally)
                try:
                    self._connection = connection
                    await self._use(connection)
                finally:
                    self.is_joined, self._connection = False, None
                    connection.abort("its limits were dropped")
            except StoreAway as error:
                self._say_away(str(error))
            if clock() - began > _PAUSE_LONGEST:
                pause = _PAUSE_FIRST
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(pause * 2, _PAUSE_LONGEST)

    async def _use(self, connection: Connection) -> None:
        await self._refuse_forgetful(connection)
        await _said(connection.ask(b"SCRIPT", b"LOAD", _SCRIPT))
        while True:
            self._faulted.clear()
            if not self.is_joined:
                await self._join(connection)
            await self._renew(connection)
            self._tried.set()
            connection.lost.add_done_callback(self._wake)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEWED):
                    await self._faulted.wait()
            connection.lost.remove_done_callback(self._wake)
            if connection.lost.done():
                raise StoreAway(connection.lost.result())
            if self._faulted.is_set():
                self._say_away(self.cause)
                await asyncio.sleep(_PAUSE_FIRST)

    async def _join(self, connection: Connection) -> None:
        """Tell everything, then count as one of the workers."""
        elsewhere = await self._elsewhere()
        while self._pending:  # noqa: ASYNC110 - after a fault alone, while an event would cost each request
            await asyncio.sleep(_QUIET)  # what is still asked may be done after all, and would not be told
        told = [
            self._ask(connection, b"join", account.tenant, *_told(account, elsewhere.get(account.tenant.name, {})))
            for account in self._accounts()
        ]
        for answer in told:
            await _said(answer)
        await _said(connection.ask(b"SADD", _PREFIX + b"members", self._worker))
        if self.cause:
            _log.info("redis is back, limits are shared")
        self.is_joined, self.cause = True, ""

    async def _renew(self, connection: Connection) -> None:
        """Say what is in flight, and learn what may be spent alone."""
        since, accounts = time.monotonic(), self._accounts()
        asked = [self._ask(connection, b"renew", account.tenant, *_told(account, {})) for account in accounts]
        for account, answer in zip(accounts, asked, strict=True):
            self._raised(account.tenant.name, int(await _said(answer)), since)

    async def _refuse_forgetful(self, connection: Connection) -> None:
        """Look whether the server may evict what must not vanish.

        Raises:
            StoreAway: it may, and that would matter.
        """
        told = (await _said(connection.ask(b"INFO", b"memory"))).decode(errors="replace")
        facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        policy = facts.get("maxmemory_policy", "")
        may_evict = facts.get("maxmemory") != "0" and policy.startswith("allkeys")
        self.is_forgetful = may_evict and self._lasting()
        if not may_evict:
            return
        said = f"redis evicts any key when it is full (maxmemory-policy {policy}); set noeviction or volatile-lru"
        if self.is_forgetful:
            raise StoreAway(f"{said}, or budgets would be forgotten")
        _log.warning("%s, or limits may be forgotten", said)

    def _say_away(self, cause: str) -> None:
        self._tried.set()
        if cause != self.cause or not self.cause:
            _log.warning("redis is away, each worker limits by itself: %s", cause)
        self.cause = cause


def _told(account: Account, elsewhere: Mapping[str, int]) -> list[bytes]:
    others = [word.encode() for name, spent in elsewhere.items() for word in (name, str(spent))]
    return [b"%d" % len(elsewhere), *others, *(lease.encode() for lease in account.leases)]


async def _said(asked: asyncio.Future[Answer]) -> bytes:
    answer = await asked
    if isinstance(answer, int):
        return b"%d" % answer
    if not isinstance(answer, bytes):
        raise StoreAway(answer.text if isinstance(answer, Fault) else "redis gave no answer")
    return answer
