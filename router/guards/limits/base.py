"""The words of limits: what a tenant may, what it has used, what one request was admitted with.

A limit of so many a minute is a level that drains: a request raises it, a minute lets the whole limit drain, and
nothing may rise above the limit. So a quiet tenant may send a whole minute's share at once, and never more than the
limit and what drains meanwhile. Time is monotonic and passed in; nothing here waits or does I/O.

Source: Turner 1986, "New Directions in Communications", for the leaky bucket as a meter.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Final, Protocol

from msgspec import Struct

from router.base import UNLIMITED, Attempt, Decision, Record, Remaining, Request, Tier

MINUTE: Final = 60.0
_FORGETTING: Final = 0.05  # the weight of the last answer in what is typical
FORGOTTEN_AFTER: Final = 60.0  # seconds beyond its deadline, after which what a request holds is given back


class Span(StrEnum):
    """How long a budget lasts; all of them begin at full hours, days, Mondays or months of UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"

    def around(self, wall: float) -> tuple[float, float]:
        """Return the beginning and the end of the one that holds this moment; seconds since 1970."""
        if self is Span.TOTAL:
            return 0.0, inf
        begin = datetime.fromtimestamp(wall, UTC).replace(minute=0, second=0, microsecond=0)
        if self is not Span.HOUR:
            begin = begin.replace(hour=0)
        if self is Span.WEEK:
            begin -= timedelta(days=begin.weekday())
        if self is Span.MONTH:
            begin = begin.replace(day=1)
            end = (begin + timedelta(days=31)).replace(day=1)
        else:
            end = begin + {Span.HOUR: timedelta(hours=1), Span.DAY: timedelta(days=1)}.get(self, timedelta(days=7))
        return begin.timestamp(), end.timestamp()


class Allowance(Struct, frozen=True):
    """What one tenant may; None where there is no limit.

    Attributes:
        requests, tokens: a minute; tokens of prompts and answers together.
        in_flight: requests at the same time.
        budget: nano-USD in each `span`.
    """

    requests: int | None = None
    tokens: int | None = None
    in_flight: int | None = None
    budget: int | None = None
    span: Span = Span.MONTH

    @property
    def is_endless(self) -> bool:
        """Tell whether nothing is limited."""
        return self.requests is None and self.tokens is None and self.in_flight is None and self.budget is None

    def shared_by(self, workers: int) -> "Allowance":
        """Return what each of them may on its own, so that together they never have more; the budget stays whole."""
        return Allowance(
            None if self.requests is None else self.requests // workers,
            None if self.tokens is None else self.tokens // workers,
            None if self.in_flight is None else self.in_flight // workers,
            self.budget,
            self.span,
        )


class Use(Struct, eq=False):
    """What one tenant has used; touched by the loop alone.

    Attributes:
        whole: what it may; `allowance` is this process' part of that.
        requests, tokens: the levels, as they were `at`.
        in_flight: requests that were admitted and are not settled.
        spent: nano-USD in the present window, by what was settled.
        elsewhere: nano-USD that other workers have spent in it, as far as is known.
        reserved: nano-USD that those in flight may cost at most.
        window: when the present window of the budget began, seconds since 1970.
        begins, ends: of that window, by `time.monotonic`.
        open: what is in flight.
        typical: tokens of an answer, lately and on average.
        ceiling: nano-USD that may be spent and reserved here without asking others, until `trusted`.
    """

    name: str
    whole: Allowance
    allowance: Allowance
    requests: float = 0.0
    tokens: float = 0.0
    at: float = 0.0
    in_flight: int = 0
    spent: int = 0
    reserved: int = 0
    window: int = 0
    begins: float = -inf
    ends: float = inf
    open: set["Admitted"] = set()
    typical: float = 256.0
    ceiling: int = 0
    trusted: float = -inf
    elsewhere: int = 0

    def drain(self, now: float) -> None:
        """Let the levels fall to what they are now."""
        allowance, passed = self.allowance, (now - self.at) / MINUTE
        self.at = now
        if allowance.requests is not None:
            level = self.requests - passed * allowance.requests
            self.requests = level if level > 0 else 0.0
        if allowance.tokens is not None:
            level = self.tokens - passed * allowance.tokens
            self.tokens = level if level > 0 else 0.0

    def forget(self, now: float) -> bool:
        """Give back what requests hold that should have ended long ago; tells whether there were any."""
        lost = [each for each in self.open if each.deadline + FORGOTTEN_AFTER < now]
        for each in lost:
            each.release()
        return bool(lost)

    def remaining(self, now: float) -> Remaining:
        """Return what is left, with which caller's headers are written."""
        self.drain(now)
        allowance = self.allowance
        if allowance.requests is None and allowance.tokens is None:
            return UNLIMITED
        return remaining_of(allowance, self.requests, self.tokens)


class Admitted(Struct, eq=False):
    """One request that may go on, and what it holds until it is settled.

    Attributes:
        tokens: that the level was raised by.
        reserved: nano-USD.
        deadline: of the request.
        ends: of the budget's window that it belongs to; it never counts in another one.
        left: what the tenant had left where others share its limits; None: as its use says.
        lease: its name where other workers know of it.
        decided: what was decided already, since no more than this can be paid for; None where that is open.
    """

    use: Use
    tokens: int
    reserved: int
    deadline: float
    ends: float
    left: Remaining | None = None
    lease: str = ""
    is_held: bool = True
    is_settled: bool = False
    decided: Decision | None = None

    def settle(self, record: Record) -> None:
        """Give back what was held, and count what was used; only the first call counts."""
        if self.is_settled:
            return
        self.is_settled = True
        self.release()
        use = self.use
        tokens, answer, cost = totals(record.attempts)
        correction = 0
        if self.tokens and tokens is not None:
            correction = tokens - self.tokens
            use.tokens = max(0.0, use.tokens + correction)
            use.typical += _FORGETTING * (answer - use.typical)
        if self.ends == use.ends:
            use.spent += (
                self.reserved if cost is None else cost
            )  # what nobody knows counts as all that it may have been
        self.told(correction)

    def told(self, correction: int) -> None:
        """Let others know, where there are any.

        Args:
            correction: tokens that were used beyond those that were expected, or less than 0.
        """

    def release(self) -> None:
        """Give back the room and the money that are held; once."""
        if self.is_held:
            self.is_held = False
            use = self.use
            use.open.discard(self)
            use.in_flight -= 1
            use.reserved -= self.reserved

    def remaining(self, now: float) -> Remaining:
        """Return what is left of the limits."""
        return self.use.remaining(now) if self.left is None else self.left


class Limits(Protocol):
    """What stands between a request and what it costs."""

    async def admit(self, request: Request, tiers: Sequence[Tier]) -> Admitted:
        """Return what the request holds; whoever gets it settles it.

        Args:
            tiers: that may serve it.

        Raises:
            RateLimited: it may not go on now.
        """
        ...


def remaining_of(allowance: Allowance, requests: float, tokens: float) -> Remaining:
    """Return what is left of an allowance at these levels."""
    most_requests, most_tokens = allowance.requests, allowance.tokens
    return Remaining(
        most_requests,
        most_tokens,
        0 if most_requests is None else max(0, int(most_requests - requests)),
        0 if most_tokens is None else max(0, int(most_tokens - tokens)),
        MINUTE * requests / most_requests if most_requests else 0.0,
        MINUTE * tokens / most_tokens if most_tokens else 0.0,
    )


def totals(attempts: Sequence[Attempt]) -> tuple[int | None, int, int | None]:
    """Return the tokens of a request, those of its answer, and its cost in nano-USD; None where one is not known."""
    tokens: int | None = 0
    cost: int | None = 0
    answer = 0
    for attempt in attempts:
        usage, paid = attempt.usage, attempt.cost
        if paid is None:
            cost = None
        elif cost is not None:
            cost += paid
        if usage is not None:
            answer = usage.total_output
            if tokens is not None:
                tokens += usage.total_input + answer
        elif paid != 0:  # what was never worked on costs nothing
            tokens = None
    return tokens, answer, cost
