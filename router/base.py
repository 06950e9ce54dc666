"""The words of the roof: what was asked, decided, done and kept.

    GatewayError                 status, code
      BadRequest                 400     param
      Unauthorized               401
      UnknownModel               404
      TooSlow                    408
      TooLarge                   413
      Unsupported                415
      RateLimited   limit        429     remaining, retryable
      RoutesFailed  causes       502, 503 or 504
      Unavailable   retry_after  503

What is made for every request is a frozen struct: the same as a frozen dataclass, made in a tenth of the time.
No I/O happens here.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from msgspec import Raw, Struct

from backends.base import BackendError, ConnectFailed, OutOfService, Overloaded, QueueFull, TimedOut, Usage
from cache.base import NOTHING_HELD, Holding, PrefixKeys
from classifier.base import Prompt, Score


class GatewayError(Exception):
    """A request cannot be answered; says which HTTP answer the caller gets instead."""

    status: int = 500
    kind: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, code: str, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.param, self.retry_after = code, param, retry_after


class BadRequest(GatewayError):
    """What was sent cannot be understood or is not allowed."""

    status = 400
    kind = "invalid_request_error"


class Unauthorized(GatewayError):
    """No key, or none that is known."""

    status = 401
    kind = "authentication_error"


class UnknownModel(GatewayError):
    """The model's name is none of ours."""

    status = 404
    kind = "invalid_request_error"


class TooSlow(GatewayError):
    """The body did not arrive in time."""

    status = 408
    kind = "invalid_request_error"


class TooLarge(GatewayError):
    """The body is over the limit."""

    status = 413
    kind = "invalid_request_error"


class Unsupported(GatewayError):
    """The media type, or an encoding, is none we read."""

    status = 415
    kind = "invalid_request_error"


class Remaining(Struct, frozen=True):
    """How much of its limits a tenant has left, for a minute from now at the latest.

    Attributes:
        requests, tokens: a minute; None where there is no limit.
        requests_left, tokens_left: of them, at once; 0 where there is no limit.
        requests_reset, tokens_reset: seconds until all of them are left again, if nothing else comes.
    """

    requests: int | None = None
    tokens: int | None = None
    requests_left: int = 0
    tokens_left: int = 0
    requests_reset: float = 0.0
    tokens_reset: float = 0.0


UNLIMITED = Remaining()


class RateLimited(GatewayError):
    """The tenant has no more requests, tokens, room or money now.

    Attributes:
        limit: which one was met, in one of a few words; see `router.guards.limits.refusals.Met`.
        retryable: a repeat after `retry_after` may be admitted; False where the budget is spent.
        remaining: what is left of the limits.
    """

    status = 429
    kind = "rate_limit_error"

    def __init__(
        self, message: str, *, limit: str, code: str, retry_after: float, remaining: Remaining, retryable: bool = True
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.limit, self.retryable, self.remaining = limit, retryable, remaining


class Unavailable(GatewayError):
    """Nobody can answer now, or the answer could not be recorded."""

    status = 503
    kind = "server_error"


class RoutesFailed(GatewayError):
    """Each route was tried and none answered.

    Attributes:
        causes: what each attempt failed with, in order; at least one.
        is_overload: all of them for lack of room in queues of our own, which do not empty at once.
    """

    def __init__(self, causes: tuple[BackendError, ...]) -> None:
        waits = [cause.retry_after for cause in causes if isinstance(cause, (OutOfService, Overloaded))]
        self.is_overload = all(isinstance(cause, QueueFull) for cause in causes)
        if all(isinstance(cause, Overloaded) for cause in causes):
            self.status, message, code = 503, "every backend is full", "overloaded"
        elif all(isinstance(cause, (ConnectFailed, Overloaded)) for cause in causes):
            self.status, message, code = 503, "no backend can be reached", "upstream_away"
        elif any(isinstance(cause, TimedOut) for cause in causes):
            self.status, message, code = 504, "no backend answered in time", "upstream_timeout"
        else:
            self.status, message, code = 502, "no backend could answer", "upstream_error"
        soon = 1.0 if self.status == Unavailable.status else None  # who is told to come back is told when
        super().__init__(message, code=code, retry_after=min((wait for wait in waits if wait), default=soon))
        self.causes = causes


class Tier(StrEnum):
    """Which of the two models."""

    LARGE = "large"
    MINI = "mini"

    @property
    def other(self) -> "Tier":
        """The one that stands in."""
        return Tier.MINI if self is Tier.LARGE else Tier.LARGE


class Outcome(StrEnum):
    """How a request ended; every record has exactly one."""

    ANSWERED = "answered"
    KEPT = "kept"  # answered from the cache
    REJECTED = "rejected"  # the backend's own 4xx went to the caller
    FAILED = "failed"  # no route answered, or the ledger refused
    BROKEN = "broken"  # a reply that had begun was cut
    HUNG_UP = "hung_up"  # the caller left
    INTERRUPTED = "interrupted"  # the gateway stopped before the end, or died; closed then, or at the next start


STOPPED = "the gateway stops"
"""What a task is cancelled with whose answer has not ended in time when the gateway stops."""


class Needs(Struct, frozen=True):
    """What a request asks of a backend, beside answering text with text.

    Attributes:
        features: names of `backends.capabilities.Capabilities` that must be true; "plain_text" where no message, but a
            text is asked for.
        media: parts of messages that are no text.
    """

    features: frozenset[str] = frozenset()
    media: int = 0

    @property
    def is_verifiable(self) -> bool:
        """Tell whether the reply will be one message: what calls tools or answers several times is not judged."""
        return self.features.isdisjoint(_NOT_VERIFIED)


_NOT_VERIFIED = frozenset({"tools", "several_choices", "plain_text"})
NOTHING_SPECIAL = Needs()


class Prefix(Struct, frozen=True):
    """What is known of a conversation's KV before it is sent anywhere.

    Attributes:
        salt: of its tenant, for each call; only calls of one salt share KV. "" where nobody set one.
        keys: of its beginnings; None where it cannot be found again.
        large, mini: what that tier's replicas likely hold of it.
        output: tokens that an answer has lately had on average; 0 where none was counted.
    """

    salt: str = ""
    keys: PrefixKeys | None = None
    large: Holding = NOTHING_HELD
    mini: Holding = NOTHING_HELD
    output: int = 0

    def held(self, tier: Tier) -> Holding:
        """Return what a tier's replicas hold."""
        return self.large if tier is Tier.LARGE else self.mini


UNKNOWN_PREFIX = Prefix()


class Assignment(Struct, frozen=True):
    """A request's place in an experiment.

    Attributes:
        experiment: its name; "" outside of all.
        arm: that the unit was assigned to.
        unit: who is assigned as one: a digest of a tenant, a user or a conversation.
        propensity: probability with which this arm is assigned, 0.0 exclusive to 1.0.
    """

    experiment: str = ""
    arm: str = ""
    unit: str = ""
    propensity: float = 1.0


UNASSIGNED = Assignment()


class Request(Struct, frozen=True):
    """One parsed request.

    Attributes:
        id: unique, minted here, ordered by time.
        caller_id: the caller's `x-request-id`, echoed to them; "" when they sent none.
        tenant: from the key alone.
        path: the endpoint below "/v1", such as "/chat/completions".
        model: as the caller named it.
        wanted: the tier that model or header ask for; None lets the policy choose.
        prompt: what the classifier may see.
        stream: the caller wants server-sent events.
        wants_usage: the caller asked for the usage chunk itself.
        fields: the body's top-level fields as raw JSON, in their order.
        cacheable: the caller did not forbid kept replies, and a kept one could be right.
        received: `time.monotonic` at the first byte, seconds.
        deadline: on the same clock.
        quality: the share of all-Large's quality that the caller wants kept, 0.0 to 1.0; None leaves it to the policy.
        lean: how far the choice leans, from -1.0, which is Large for everything, to 1.0, which is Mini; 0.0 where the
            caller leaves that to us.
        needs: what only some backends can do.
        stalled: the conversation is that of an agent who does not get on.
        prefix: who holds its KV, looked up before a tier is chosen.
        priority: higher ones go first where calls wait for room.
        user: of the tenant's, whom the caller named, as a digest that tells nobody who it is; "" where none is named.
        conversation: likewise.
        assignment: to an arm of an experiment, made before anything depends on it.
    """

    id: str
    caller_id: str
    tenant: str
    path: str
    model: str
    wanted: Tier | None
    prompt: Prompt
    stream: bool
    wants_usage: bool
    fields: Mapping[str, Raw]
    cacheable: bool
    received: float
    deadline: float
    quality: float | None = None
    lean: float = 0.0
    needs: Needs = NOTHING_SPECIAL
    stalled: bool = False
    prefix: Prefix = UNKNOWN_PREFIX
    priority: int = 0
    user: str = ""
    conversation: str = ""
    assignment: Assignment = UNASSIGNED


class Decision(Struct, frozen=True):
    """Which tier and why; enough to be replayed and evaluated off-line.

    Attributes:
        score: None where none was needed or none could be given.
        threshold: the score from which Large is chosen; None where no score decided.
        reason: one of a few words: "asked" by the caller, "fixed" by the file, "capability" where only this tier can
            serve, "uncertified_slice" where Mini was not shown to, "stalled", "score", "easy", "between" or "hard" by
            its zone, "capped", "certified", "alarm" where a promise was narrowed, "uncertified" where none is as strict
            as asked for, "affinity" where Large holds the conversation's KV and so costs no more, "default" where there
            was nothing to score, "limited" where nobody was asked, since the tenant may no more now, "undecided" where
            something failed before, or "paced" where the tenant's budget moved it to Mini.
        arm: of the experiment; "" outside one.
        propensity: probability with which this tier was chosen, 0.0 exclusive to 1.0.
        policy: "name@version".
        verify: Mini answers first, and Large instead from this P(wrong) on; None means that nothing is verified.
        stay_cost, switch_cost: nano-USD that the conversation was estimated to take from here on, with Large, who holds
            its KV, and with Mini; None where that was not weighed.
        experiment: its name; "" outside of all.
    """

    tier: Tier
    reason: str
    score: Score | None
    threshold: float | None
    policy: str
    arm: str = ""
    propensity: float = 1.0
    verify: float | None = None
    stay_cost: int | None = None
    switch_cost: int | None = None
    experiment: str = ""


ATTEMPT_KINDS = (
    "primary", "failover", "escalation", "judge", "shadow", "retried", "hedge_loser", "classifier", "guardrail",
)  # fmt: skip
"""Answered or should have; stood in for one that failed; a reply of Mini that Large's took the place of; a second
sample that only judged the first; a call to the tier that was not chosen, for labels alone; a replica that failed
before another of its tier was asked; one that another was faster than; a model that was asked what the request is
about; one that was asked whether it may be answered."""

USAGE_SOURCES = ("provider", "provider_partial", "tokenizer", "none", "contradictory")
"""Told by the backend; told of a part of what it did; estimated from what went in and came out; not known; told, but
not possible."""


class Attempt(Struct, frozen=True):
    """One call to one backend, also when it failed.

    Attributes:
        kind: one of `ATTEMPT_KINDS`.
        usage: None where the backend told none.
        cost: nano-USD; None where usage or price are unknown.
        price_version: of the price book; "" where unpriced.
        error: the error's class name, "" when all went well.
        usage_source: one of `USAGE_SOURCES`; "" where it follows from `usage`: told by the backend, or by nobody.
        prefix_saved: nano-USD that its cached input would have cost more, had it been computed anew.
    """

    kind: str
    tier: Tier
    model: str
    replica: str
    usage: Usage | None
    cost: int | None
    price_version: str
    error: str = ""
    usage_source: str = ""
    prefix_saved: int = 0


def total_cost(attempts: Sequence[Attempt]) -> int | None:
    """Return the sum in nano-USD; None as soon as one attempt's cost is unknown."""
    total = 0
    for attempt in attempts:
        if attempt.cost is None:
            return None
        total += attempt.cost
    return total


class Intent(Struct, frozen=True):
    """What is known before the first byte goes out.

    Attributes:
        started: wall time, seconds since 1970.
        reserved: nano-USD that it may cost at most, where the tenant has a budget; 0 elsewhere. They count as spent
            until a record says what was, and for good where none ever does.
        user, conversation: digests, as of the request.
        unit: that an experiment assigned; "" outside of all.
        sampled: probability with which this request is sampled for a shadow call.
        inputs: what the decision was made from beside the score, as JSON; "" where all of it is as usual.
        config: version of the configuration that it was made under.
        reply_key: a digest of what names its kept reply, the same for requests that may get the same one; "" where it
            may get none, or nobody made it.
    """

    id: str
    caller_id: str
    tenant: str
    model: str
    stream: bool
    started: float
    decision: Decision
    reserved: int = 0
    user: str = ""
    conversation: str = ""
    unit: str = ""
    sampled: float = 0.0
    inputs: str = ""
    config: str = ""
    reply_key: str = ""


class Record(Struct, frozen=True):
    """What is kept of a request; no text of it.

    Attributes:
        id: of the intent that it settles.
        status: the HTTP status that the caller got.
        first_byte: seconds from the request's first byte to the first byte of the body; None if there was none.
        duration: seconds to the last.
        baseline: nano-USD that Large would have cost for the same tokens; None where unknown.
        p_wrong: what verification said of Mini's reply; None where nothing was verified.
        cache: which kind of kept reply it was answered from, "exact" or "semantic"; "" for none.
        overhead: seconds that the gateway itself took before it waited for a backend; None where it came to none.
        finish: why the reply ended, in the backend's word; "" where that is not known.
        intent: that it settles; None where only its id is known.
    """

    id: str
    outcome: Outcome
    status: int
    attempts: tuple[Attempt, ...]
    first_byte: float | None
    duration: float
    baseline: int | None
    error: str = ""
    p_wrong: float | None = None
    cache: str = ""
    overhead: float | None = None
    finish: str = ""
    intent: Intent | None = None

    @property
    def cost(self) -> int | None:
        """Return nano-USD of all attempts together; None as soon as one of them is unknown."""
        return total_cost(self.attempts)


@dataclass(frozen=True, slots=True)
class Label:
    """What both tiers' replies to one sampled request were worth.

    A label is the one place in which text of a request may be kept, and only a sampled request has one.

    Attributes:
        id, tenant: of the request.
        made: wall time, seconds since 1970.
        prompt: what the classifier saw, as JSON; None where no text is kept.
        answered: the tier whose reply the caller got.
        strong_score, weak_score: of Large's and Mini's reply, 0.0 to 1.0; None where the grader could not tell.
        score, scorer, threshold: of the classifier when it decided.
        propensity: probability with which the request was sampled, 0.0 exclusive to 1.0.
        grader: "name@version" of what compared the replies; "" where none could.
    """

    id: str
    tenant: str
    made: float
    prompt: bytes | None
    answered: Tier
    strong_score: float | None
    weak_score: float | None
    score: float
    scorer: str
    threshold: float | None
    propensity: float
    grader: str


@dataclass(frozen=True, slots=True)
class Rating:
    """What a person said of the answer to one request.

    Attributes:
        request_id: ours, or the id that the caller sent with the request.
        given: wall time, seconds since 1970.
        score: 0.0 to 1.0.
        comment: their words; None where they wrote none.
    """

    request_id: str
    tenant: str
    given: float
    score: float
    comment: str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one reply looks like, without its text.

    Attributes:
        request_id: of the request that it answered.
        made: wall time, seconds since 1970.
        tier: who gave it.
        finish: why it ended, in the backend's word; "" where that is not known.
        tokens: words, marks and CJK characters of it.
        repetition: rep-4, the share of its runs of four tokens that came before, 0.0 to 1.0.
        compression: its bytes by those that zlib makes of them.
        is_repetitive, is_empty, is_truncated, is_refusal: what it was flagged as.
        checks, failed_checks: of what can be verified, such as a JSON schema, how many applied, and failed.
        logprob: mean log-probability of its tokens; None where none were told.
        agreement: with Large's reply, 0.0 to 1.0; None where both were not compared.
        judge: "name@version" of who compared them, "" for nobody.
        repetition_written: flagged by thresholds on rep-4 and compression of its prose, or by a loop at the end, as is
            usual; None where nobody looked.
    """

    request_id: str
    made: float
    tier: Tier
    finish: str
    tokens: int
    repetition: float
    compression: float
    is_repetitive: bool
    is_empty: bool
    is_truncated: bool
    is_refusal: bool
    checks: int = 0
    failed_checks: int = 0
    logprob: float | None = None
    agreement: float | None = None
    judge: str = ""
    repetition_written: bool | None = None


SIGNAL_KINDS = ("thumb", "regenerate", "edit", "escalate", "reopen", "abandon", "resolved", "label")
"""Thumbs up or down; asked for another answer; how much of it was changed before it was used; passed on to a person;
came back; left; done; what a person holds the answer to be worth."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What a user did about an answer, or what somebody says of it.

    Attributes:
        request_id: ours, or the id that the caller sent with the request.
        given: wall time, seconds since 1970.
        kind: one of `SIGNAL_KINDS`; a later one of the same kind and source takes the place of an earlier one.
        value: 0.0 to 1.0.
        source: "user", "app" or "human".
    """

    request_id: str
    tenant: str
    given: float
    kind: str
    value: float
    source: str = "user"


USUAL_TIERS = frozenset(("", "default", "standard"))
"""Words for the tier of service that nobody asked for; as prices have it, the first of them."""

_INHERITS = {
    "cache_write": "fresh_input",
    "cache_write_1h": "cache_write",
    "audio_input": "fresh_input",
    "image_input": "fresh_input",
    "reasoning": "output",
    "audio_output": "output",
    "image_output": "output",
}


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in pico-USD a token (the same number as micro-USD per million tokens).

    A bucket that has no price of its own (None) costs as much as the text it stands beside.

    Attributes:
        version: digest of the row in the price book.
        cache_write: None inherits `fresh_input`.
        cache_write_1h: None inherits `cache_write`.
        audio_input, image_input: None inherits `fresh_input`.
        reasoning, audio_output, image_output: None inherits `output`.
        per_request: nano-USD of each request, whatever it takes.
        service_tier: that it holds for; "" is the usual one.
        above_input: tokens of a prompt beyond which it holds, for the whole of the request.
        variants: the model's prices in other tiers and for longer prompts; variants have none themselves.
    """

    model: str
    version: str
    fresh_input: int
    cached_input: int
    output: int
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    per_request: int = 0
    service_tier: str = ""
    above_input: int = 0
    variants: "tuple[Price, ...]" = ()

    def held_for(self, service_tier: str, input_tokens: int) -> "Price | None":
        """Return the variant that a request is charged by; None where the service tier has no price that is known.

        Args:
            service_tier: as the answer names it; one of `USUAL_TIERS` is the usual one.
            input_tokens: of the whole prompt, cached ones included.
        """
        tier = "" if service_tier in USUAL_TIERS else service_tier
        if not self.variants:
            return self if self.service_tier == tier else None
        fits = [
            each
            for each in (self, *self.variants)
            if each.service_tier == tier and (not each.above_input or each.above_input < input_tokens)
        ]
        return max(fits, key=lambda each: each.above_input, default=None)

    def rate(self, bucket: str) -> int:
        """Return what a token of one of `Usage`'s buckets costs."""
        own: int | None = getattr(self, bucket)
        return self.rate(_INHERITS[bucket]) if own is None else own


class Policy(Protocol):
    """Request and score -> decision; pure."""

    @property
    def version(self) -> str:
        """Return "name@version": part of each decision and of each cache key."""
        ...

    @property
    def threshold(self) -> float | None:
        """Return the score from which Large is chosen; None where no score decides."""
        ...

    def needs_score(self, request: Request) -> bool:
        """Tell whether a score could change where this request goes."""
        ...

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return where the request goes; `score` is None where none could be given."""
        ...


class Ledger(Protocol):
    """Keeps one record for each request."""

    def open(self, intent: Intent) -> Awaitable[None]:
        """Write an intent down, or hand it over; what is returned ends when the operating system has it.

        Raises:
            Unavailable: when awaited; it could not be written and no answer may be given.
        """
        ...

    def settle(self, record: Record) -> None:
        """Hand over the end of a request; returns at once, never raises."""
        ...

    def shadow(self, request_id: str, attempt: Attempt, before: tuple[Attempt, ...] = ()) -> None:
        """Hand over what was asked after a request, for learning, as it begins and again as it ends; never raises.

        Args:
            attempt: the one of its kind; a later one takes its place.
            before: who was asked for it before, in vain; those of a later one take their places.
        """
        ...

    def label(self, label: Label) -> None:
        """Hand over what a shadow call taught; returns at once, never raises."""
        ...

    def rate(self, rating: Rating) -> Awaitable[str | None]:
        """Keep a rating in the place of an earlier one; gives our id of the request, None where the tenant has none.

        Raises:
            Unavailable: when awaited; it could not be written.
        """
        ...

    def assess(self, assessment: Assessment) -> None:
        """Hand over what a settled request's reply looks like; returns at once, never raises."""
        ...

    def signal(self, signal: Signal) -> Awaitable[str | None]:
        """Keep a signal; gives our id of the request, None where the tenant has none.

        Raises:
            Unavailable: when awaited; it could not be written.
        """
        ...

    def forget(self, before: float) -> None:
        """Erase the text of labels and ratings that were made before this wall time; never raises."""
        ...

    async def aclose(self) -> None:
        """Write what was handed over and close."""
        ...
