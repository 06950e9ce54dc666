"""One request's account: opened once, closed once, whatever happens between.

Collects attempts and times and hands exactly one record to the ledger and to the metrics. Closing is a
plain call, so that a caller who hangs up cannot cancel it. Knows nothing of HTTP.
"""

import time
from collections.abc import Callable
from typing import Final

from msgspec import Raw, Struct, field, structs

from backends.base import Broken, ConnectFailed, Lost, Overloaded, Rejected, Usage
from classifier.base import Prompt
from router.base import Attempt, Decision, Intent, Ledger, Outcome, Price, Record, Request, Tier, total_cost
from router.guards.limits.base import Admitted
from router.ledger.money import cost, cost_at, prefix_saved
from router.ledger.untold_usage import Asked, asked_of, estimated
from router.ledger.usage_estimates import UsageEstimates
from router.metrics.counters import Metrics
from router.routes import Route
from router.single_flight import ALONE, Seat

BYTES_A_TOKEN: Final = 4  # of JSON, where nobody has counted; more than English needs
_KEY_BYTES: Final = 12  # of a reply's key, that are recorded: enough that no two requests share them by chance
_NO_PROMPT: Final = Prompt(())
_NO_FIELDS: Final[dict[str, Raw]] = {}
_PROMISES: Final = ("response_format", "tools")  # that whoever looks at replies verifies

Learn = Callable[[Request, Tier, str, Usage | None], None]
"""Takes a request, the tier and the replica that answered it, and what that took."""


class Books(Struct, frozen=True):
    """Where all accounts of a gateway are written up.

    Attributes:
        learn: told what each whole reply took, and who gave it.
        estimates: tells what a reply took whose backend did not; None: nobody does.
        config: version of the configuration.
    """

    ledger: Ledger
    metrics: Metrics
    learn: Learn
    estimates: UsageEstimates | None = None
    config: str = ""


class Taken(Struct):
    """What a request has taken before its account is opened; closing the account gives it back.

    Attributes:
        admitted: what it holds of its tenant's limits.
        seat: those who wait for this request.
        spent: what was asked of other models, to know what the request is about.
        key: that names its kept reply; b"" where it can get none, or nobody asked for it.
    """

    admitted: Admitted
    seat: Seat = field(default_factory=lambda: ALONE)
    spent: list[Attempt] = []
    key: bytes = b""


class Account:
    """What one request has cost so far and how it ended."""

    def __init__(
        self,
        request: Request,
        decision: Decision,
        books: Books,
        taken: Taken,
        *,
        sampled: float = 0.0,
        inputs: str = "",
    ) -> None:
        """Open the account; `opened` ends when the intent is with the operating system.

        Args:
            sampled, inputs: as in `router.base.Intent`.
        """
        self.request, self.decision = request, decision
        self._books, self._taken = books, taken
        self._attempts = [*taken.spent]
        self._asked: Asked | None = None
        self._first_byte: float | None = None
        self._cut: tuple[tuple[int, Route], ...] = ()
        self.baseline: int | None = None
        self.p_wrong: float | None = None
        self.overhead: float | None = None
        self.cache = self.finish = ""
        self._closed = self._has_served = False
        books.metrics.begin()
        self._intent = Intent(
            id=request.id,
            caller_id=request.caller_id,
            tenant=request.tenant,
            model=request.model,
            stream=request.stream,
            started=time.time() - (time.monotonic() - request.received),
            decision=decision,
            reserved=taken.admitted.reserved,
            user=request.user,
            conversation=request.conversation,
            unit=request.assignment.unit,
            sampled=sampled,
            inputs=inputs,
            config=books.config,
            reply_key=taken.key[:_KEY_BYTES].hex(),
        )
        self.opened = books.ledger.open(self._intent)

    def outline(self) -> None:
        """Keep of the request what the end of its stream asks for: sizes, and promises of form, and none of its text.

        A stream may run for minutes, and a prompt may take megabytes.
        """
        request = self.request
        self._asked = asked_of(request)
        kept = {name: Raw(bytes(request.fields[name])) for name in _PROMISES if name in request.fields}
        self.request = structs.replace(request, fields=kept or _NO_FIELDS, prompt=_NO_PROMPT)

    def failed(self, route: Route, error: BaseException, *, kind: str = "") -> None:
        """Note an attempt that gave nothing; one that was never worked on costs nothing.

        Args:
            kind: as in `router.base.ATTEMPT_KINDS`; where none is given, the first or what stood in for it.
        """
        self.lost(route, getattr(error, "before", ()))
        self._attempts.append(_failed(kind or self._kind(), route, getattr(error, "replica", ""), error))

    def lost(self, route: Route, before: tuple[Lost, ...]) -> None:
        """Note the replicas that were asked in vain before the one that answered or failed last.

        One that was stopped at work had read the prompt, and nothing of its reply was seen.
        """
        for each in before:
            if each.error is None:
                self.cut("hedge_loser", route, each.replica, output=0)
            else:
                self._attempts.append(_failed("retried", route, each.replica, each.error))

    def served(
        self,
        route: Route,
        replica: str,
        usage: Usage | None,
        *,
        error: str = "",
        contradicts: bool = False,
        is_whole: bool = True,
        came: int = 0,
    ) -> Attempt:
        """Note the attempt that answered, whole or broken; returns it with its cost.

        Args:
            usage: as the backend told it; where it did not, it is estimated from the bytes that came.
            contradicts: it told figures that cannot be true; those are neither bent nor replaced by others.
            is_whole: the reply came to its end.
            came: bytes of it.
        """
        source = "provider" if is_whole else "provider_partial"
        if usage is None:
            usage, source = self._estimated(route, contradicts=contradicts, came=came, stream=self.request.stream)
        elif self._cut:
            self._learn_prompt(usage.total_input)
        estimates = self._books.estimates
        if source == "provider" and came and usage is not None and estimates is not None and estimates.is_due():
            prompt, stream = self._how_much().size, self.request.stream
            estimates.learn(route.model, usage, prompt=prompt, reply=came, stream=stream)
        attempt = attempt_of(self._kind(), route, replica, usage, error, source)
        self._attempts.append(attempt)
        self._has_served = True
        self._books.learn(self.request, route.tier, replica, usage)
        return attempt

    def unserved(
        self,
        kind: str,
        route: Route,
        replica: str,
        usage: Usage | None,
        *,
        contradicts: bool,
        came: int,
        stream: bool,
    ) -> None:
        """Note a whole reply that the caller was not given.

        Args:
            kind: as in `attempt_of`.
            usage, contradicts, came: as in `served`.
            stream: the reply was one, whatever the caller asked for.
        """
        source = "provider"
        if usage is None:
            usage, source = self._estimated(route, contradicts=contradicts, came=came, stream=stream)
        self._attempts.append(attempt_of(kind, route, replica, usage, "", source))
        if kind == "escalation":  # the same prompt; a judge is asked another one
            self._books.learn(self.request, route.tier, replica, usage)

    def cut(self, kind: str, route: Route, replica: str, *, output: int) -> None:
        """Note a reply that was cut short, before its backend told what it took: an estimate.

        Its output is what came of it. Its prompt has the tokens that the answer to the same messages tells of, or
        else as many as its bytes make; all of them count as fresh.
        """
        usage, _ = self._estimated(route, contradicts=False, came=0, stream=False)
        if usage is None:
            asked = self._how_much()
            usage = Usage(fresh_input=asked.tokens or asked.size // BYTES_A_TOKEN, cached_input=None, output=0)
        usage = structs.replace(usage, output=output)
        self._cut += ((len(self._attempts), route),)
        self._attempts.append(attempt_of(kind, route, replica, usage, "", "tokenizer"))

    def judged(self, verdict: str, p_wrong: float | None) -> None:
        """Note what a cascade made of Mini's reply; `p_wrong` is None where it could not tell."""
        self.p_wrong = p_wrong
        self._books.metrics.judge(verdict)

    @property
    def has_served(self) -> bool:
        """Tell whether the attempt that answered, whole or broken, is noted."""
        return self._has_served

    def first_byte(self) -> None:
        """Note the moment in which the first byte of the body goes out."""
        self._first_byte = time.monotonic() - self.request.received

    def compare(self, large: Price | None, usage: Usage | None) -> None:
        """Note what Large would have cost for the same tokens: an estimate, in nano-USD."""
        self.baseline = None
        if large is not None and usage is not None:  # in the same service tier, where Large has a price for it
            paid = cost(large, usage)
            self.baseline = cost(large, structs.replace(usage, service_tier="")) if paid is None else paid

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
            cache=self.cache,
            overhead=self.overhead,
            finish=self.finish,
            intent=self._intent,
        )
        self._books.ledger.settle(record)
        self._taken.admitted.settle(record)
        self._taken.seat.end(record)
        self._books.metrics.end(self.decision, record, stream=self.request.stream)

    def _kind(self) -> str:
        return "failover" if any(attempt.kind == "primary" for attempt in self._attempts) else "primary"

    def _learn_prompt(self, tokens: int) -> None:
        for position, route in self._cut:
            noted = self._attempts[position]
            output = 0 if noted.usage is None else noted.usage.output
            usage = Usage(tokens, cached_input=None, output=output)
            self._attempts[position] = attempt_of(
                noted.kind, route, noted.replica, usage, noted.error, noted.usage_source
            )

    def _estimated(self, route: Route, *, contradicts: bool, came: int, stream: bool) -> tuple[Usage | None, str]:
        """Return what a reply took as far as its bytes tell, and who says so."""
        if contradicts:
            return None, "contradictory"
        return estimated(self._books.estimates, self._how_much(), route.model, came=came, stream=stream)

    def _how_much(self) -> Asked:
        return self._asked or asked_of(self.request)


def attempt_of(
    kind: str, route: Route, replica: str, usage: Usage | None, error: str, source: str = "provider"
) -> Attempt:
    """Return an attempt at today's price; its cost is unknown where its usage or its price is.

    Args:
        source: who told the usage, as in `router.base.USAGE_SOURCES`; without usage "provider" is nobody.
    """
    price = route.price
    held = None if usage is None or price is None else price.held_for(usage.service_tier, usage.total_input)
    charged = held or price  # a variant's row of the book has a version of its own
    return Attempt(
        kind=kind,
        tier=route.tier,
        model=route.model,
        replica=replica,
        usage=usage,
        cost=None if usage is None or held is None else cost_at(held, usage),
        price_version="" if charged is None else charged.version,
        error=error,
        usage_source="none" if usage is None and source == "provider" else source,
        prefix_saved=0 if usage is None or price is None else prefix_saved(price, usage),
    )


def _failed(kind: str, route: Route, replica: str, error: BaseException | None) -> Attempt:
    """Return an attempt that gave nothing; one that failed at work costs what nobody knows."""
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
        usage_source="none",
    )


def lost_beside(route: Route, before: tuple[Lost, ...], prompt: Usage | None) -> tuple[Attempt, ...]:
    """Return the replicas that were asked in vain for a reply that belongs to no account.

    Args:
        prompt: what one that was stopped at work has taken: its prompt and no output; None where nobody says.
    """
    return tuple(
        attempt_of("hedge_loser", route, each.replica, prompt, "", "none" if prompt is None else "tokenizer")
        if each.error is None
        else _failed("retried", route, each.replica, each.error)
        for each in before
    )


def was_refused(error: BaseException) -> bool:
    """Tell whether the backend surely computed nothing; a status says so, a broken answer does not."""
    if isinstance(error, Broken):
        return error.status is not None
    return isinstance(error, (ConnectFailed, Overloaded, Rejected))
