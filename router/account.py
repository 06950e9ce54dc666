"""One request's account: opened once, closed once, whatever happens between.

Collects attempts and times and hands exactly one record to the ledger and to the metrics. Closing is a
plain call, so that a caller who hangs up cannot cancel it. Knows nothing of HTTP.
"""

import time
from collections.abc import Callable
from typing import Final

from msgspec import Raw

from backends.base import Broken, ConnectFailed, Lost, Overloaded, Rejected, Usage
from router.base import Attempt, Decision, Intent, Ledger, Outcome, Price, Record, Request, Tier, total_cost
from router.guards.limits.base import Admitted
from router.guards.limits.tenants import FREE
from router.ledger.money import cost
from router.metrics.counters import Metrics
from router.routes import Route
from router.single_flight import ALONE, Seat

BYTES_A_TOKEN: Final = 4  # of JSON, where nobody has counted; more than English needs
_NOTHING: Final = Raw()

Learn = Callable[[Request, Tier, str, Usage | None], None]
"""Takes a request, the tier and the replica that answered it, and what that took."""


class Account:
    """What one request has cost so far and how it ended."""

    def __init__(
        self,
        request: Request,
        decision: Decision,
        *,
        ledger: Ledger,
        metrics: Metrics,
        learn: Learn,
        admitted: Admitted = FREE,
        seat: Seat = ALONE,
    ) -> None:
        """Open the account; `opened` ends when the intent is with the operating system.

        Args:
            learn: told what each whole reply took, and who gave it.
            admitted: what the request holds of its tenant's limits; settled when the account is closed.
            seat: those who wait for this request hear of it then.
        """
        self.request, self.decision = request, decision
        self._ledger, self._metrics, self._learn = ledger, metrics, learn
        self._admitted, self._seat = admitted, seat
        self._attempts: list[Attempt] = []
        self._first_byte: float | None = None
        self._cut: list[tuple[int, Route]] = []
        self.baseline: int | None = None
        self.p_wrong: float | None = None
        self._closed = self._has_served = False
        metrics.begin()
        self.opened = ledger.open(
            Intent(
                id=request.id,
                caller_id=request.caller_id,
                tenant=request.tenant,
                model=request.model,
                stream=request.stream,
                started=time.time() - (time.monotonic() - request.received),
                decision=decision,
                reserved=admitted.reserved,
            )
        )

    def failed(self, route: Route, error: BaseException, *, kind: str = "") -> None:
        """Note an attempt that gave nothing; one that was never worked on costs nothing.

        Args:
            kind: as in `router.base.ATTEMPT_KINDS`; where none is given, the first or what stood in for it.
        """
        self.lost(route, getattr(error, "before", ()))
        self._attempts.append(_failed(kind or self._kind(), route, getattr(error, "replica", ""), error))

    def lost(self, route: Route, before: tuple[Lost, ...]) -> None:
        """Note the replicas that were asked in vain before the one that answered or failed last."""
        for each in before:
            kind = "hedge_loser" if each.error is None else "retried"
            self._attempts.append(_failed(kind, route, each.replica, each.error))

    def served(self, route: Route, replica: str, usage: Usage | None, *, error: str = "") -> Attempt:
        """Note the attempt that answered, whole or broken; returns it with its cost."""
        if self._cut and usage is not None:
            self._learn_prompt(usage.fresh_input + (usage.cached_input or 0))
        attempt = attempt_of(self._kind(), route, replica, usage, error)
        self._attempts.append(attempt)
        self._has_served = True
        self._learn(self.request, route.tier, replica, usage)
        return attempt

    def unserved(self, kind: str, route: Route, replica: str, usage: Usage | None, *, error: str = "") -> None:
        """Note a reply that the caller was not given; `kind` as in `router.base.ATTEMPT_KINDS`."""
        self._attempts.append(attempt_of(kind, route, replica, usage, error))
        if kind == "escalation":  # the same prompt; a judge is asked another one
            self._learn(self.request, route.tier, replica, usage)

    def cut(self, kind: str, route: Route, replica: str, *, output: int) -> None:
        """Note a reply that was cut short, before its backend told what it took: an estimate.

        Its output is what came of it. Its prompt has the tokens that the answer to the same messages tells of, or
        one for each four bytes of them where none tells; all of them count as fresh.
        """
        messages = self.request.fields.get("messages", _NOTHING)
        usage = Usage(fresh_input=len(bytes(messages)) // BYTES_A_TOKEN, cached_input=None, output=output)
        self._cut.append((len(self._attempts), route))
        self._attempts.append(attempt_of(kind, route, replica, usage, ""))

    def judged(self, verdict: str, p_wrong: float | None) -> None:
        """Note what a cascade made of Mini's reply; `p_wrong` is None where it could not tell."""
        self.p_wrong = p_wrong
        self._metrics.judge(verdict)

    @property
    def has_served(self) -> bool:
        """Tell whether the attempt that answered, whole or broken, is noted."""
        return self._has_served

    def first_byte(self) -> None:
        """Note the moment in which the first byte of the body goes out."""
        self._first_byte = time.monotonic() - self.request.received

    def compare(self, large: Price | None, usage: Usage | None) -> None:
        """Note what Large would have cost for the same tokens: an estimate, in nano-USD."""
        self.baseline = None if large is None or usage is None else cost(large, usage)

    @property
    def cost(self) -> int | None:
        """Return nano-USD of the attempts so far; None when one of them is unknown."""
        return total_cost(self._attempts)

    def close(self, outcome: Outcome, *, status: int, error: str = "") -> None:
        """Hand over the record; only the first call counts."""
        if self._closed:
            return
        self._closed = True
        record = Record(
            id=self.request.id,
            outcome=outcome,
            status=status,
            attempts=tuple(self._attempts),
            first_byte=self._first_byte,
            duration=time.monotonic() - self.request.received,
            baseline=self.baseline,
            error=error,
            p_wrong=self.p_wrong,
        )
        self._ledger.settle(record)
        self._admitted.settle(record)
        self._seat.end(record)
        self._metrics.end(self.decision, record, stream=self.request.stream)

    def _kind(self) -> str:
        if not self._attempts:
            return "primary"
        return "failover" if any(attempt.kind == "primary" for attempt in self._attempts) else "primary"

    def _learn_prompt(self, tokens: int) -> None:
        for position, route in self._cut:
            noted = self._attempts[position]
            output = 0 if noted.usage is None else noted.usage.output
            self._attempts[position] = attempt_of(
                noted.kind, route, noted.replica, Usage(tokens, cached_input=None, output=output), noted.error
            )


def attempt_of(kind: str, route: Route, replica: str, usage: Usage | None, error: str) -> Attempt:
    """Return an attempt at today's price; its cost is unknown where its usage or its price is."""
    price = route.price
    return Attempt(
        kind=kind,
        tier=route.tier,
        model=route.model,
        replica=replica,
        usage=usage,
        cost=None if usage is None or price is None else cost(price, usage),
        price_version="" if price is None else price.version,
        error=error,
    )


def _failed(kind: str, route: Route, replica: str, error: BaseException | None) -> Attempt:
    """Return an attempt that gave nothing; one that was stopped at work costs what nobody knows."""
    price = route.price
    return Attempt(
        kind=kind,
        tier=route.tier,
        model=route.model,
        replica=replica,
        usage=None,
        cost=0 if error is not None and was_refused(error) else None,
        price_version="" if price is None else price.version,
        error="" if error is None else type(error).__name__,
    )


def was_refused(error: BaseException) -> bool:
    """Tell whether the backend surely computed nothing; a status says so, a broken answer does not."""
    if isinstance(error, Broken):
        return error.status is not None
    return isinstance(error, (ConnectFailed, Overloaded, Rejected))
