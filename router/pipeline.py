"""What a request meets, in order: eligible tiers, limits, kept reply, score, decision, routes, reply, record.

Read `answer` from top to bottom; each step is one module. A kept reply ends the walk early; a score
that cannot be given sends the request to the default tier. Knows nothing of HTTP.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from backends.base import BackendError, Rejected, Sink, TimedOut, Usage
from cache.base import KeptReply
from cache.replies import Replies
from classifier.base import Classifier, ClassifierError, Score
from router.account import Account, Books, Taken
from router.base import (
    UNLIMITED,
    BadRequest,
    Decision,
    GatewayError,
    Outcome,
    Policy,
    Price,
    RateLimited,
    Remaining,
    Request,
    Tier,
)
from router.cascade import Cascade
from router.dispatch import Begun, begin
from router.eligibility import CAPABILITY, Eligibility, Eligible
from router.experiments.assignment import assigned
from router.experiments.running import Experiments
from router.gathering import Rooms
from router.guards.large_share import CAPPED, LargeShare
from router.guards.limits.base import Admitted, Limits
from router.guards.limits.refusals import MONEY
from router.guards.limits.tenants import FREE, UNLIMITED_TENANTS
from router.learning.shadows import Shadows
from router.policies.inputs import decision_inputs
from router.policies.paced import PACED, Paced
from router.prefix_affinity import PrefixAffinity
from router.relay import Assess, Relay, ended_by
from router.routes import Routes
from router.semantic.opening import SemanticReplies
from router.single_flight import Seat, SingleFlight

if TYPE_CHECKING:  # numpy is loaded only where something needs it
    from cache.semantic.base import Look

LIMITED = "limited"
"""The reason of a decision that was not made, since the tenant may no more now."""

UNDECIDED = "undecided"
"""Likewise, since something failed before."""

HUNG_UP = 499  # the status that nginx logs when the caller left first

_log = logging.getLogger(__name__)


class Answer(Struct, frozen=True):
    """What the caller gets.

    Attributes:
        first: the first bytes of the body; of an unstreamed answer, all of it.
        rest: what follows, or what a sink that is sent into it is given; ends the request's record when it is used up
            or closed.
        tier: who answered, which failover makes another than the decided one.
        cost: nano-USD, None while unknown (a stream has not been counted yet).
        baseline: nano-USD that Large would have cost, an estimate; None likewise.
        overhead: seconds that the gateway itself spent before it waited for a backend.
        verdict: what a cascade made of Mini's reply; "" where none was asked.
        p_wrong: how likely it held that reply to be wrong; None where it could not tell.
        similarity: of the request to the one whose kept reply this is; None where both are equal, or none was kept.
        remaining: what is left of the tenant's limits.
    """

    decision: Decision
    tier: Tier
    model: str
    kept: bool
    media_type: str
    first: bytes
    rest: AsyncGenerator[bytes, Sink | None]
    cost: int | None
    baseline: int | None
    overhead: float
    verdict: str = ""
    p_wrong: float | None = None
    similarity: float | None = None
    remaining: Remaining = UNLIMITED


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that one configuration has chosen.

    Attributes:
        cascade: answers where a decision asks for verification; None where the policy never does.
        note: told of each decision that is carried out; None where the policy does not want to know.
        semantic: finds kept replies by meaning; None where that is switched off.
        limits: what tenants may.
        flights: equal requests, of which one asks a backend; None where each does.
        paced: says who gives way to a tenant's budget; None where nobody does.
        assess: told of each reply of a backend; None where nobody looks at them.
        experiments: send some requests another way; None where there are none, as on such a way itself.
        rooms: for what is gathered of streams; arms of experiments share them.
        names_replies: the ledger is told what names a request's kept reply also where none are kept.
    """

    eligibility: Eligibility
    affinity: PrefixAffinity
    large_share: LargeShare
    classifier: Classifier | None
    policy: Policy
    replies: Replies | None
    key_of: Callable[[Request, str], bytes]
    routes: Routes
    books: Books
    shadows: Shadows | None
    cascade: Cascade | None = None
    note: Callable[[Request, Decision], None] | None = None
    semantic: SemanticReplies | None = None
    limits: Limits = UNLIMITED_TENANTS
    flights: SingleFlight | None = None
    paced: Paced | None = None
    assess: Assess | None = None
    experiments: "Experiments[Pipeline] | None" = None
    rooms: Rooms = field(default_factory=Rooms)
    names_replies: bool = False

    def answer(self, request: Request) -> Coroutine[None, None, Answer]:
        """Walk the house, in the arm of an experiment where one takes the request.

        Raises:
            GatewayError: nobody answered, or the answer could not be recorded.
            Rejected: the backend's own 4xx, for the caller as it came.
            BackendError: the reply broke before its first byte could be given.
        """
        request, walk = self._assigned(request)
        return walk.walk(request)

    async def walk(self, request: Request) -> Answer:
        """Answer as this arm does; see `answer`."""
        eligible, admitted = await self._admit(request)
        taken = Taken(admitted)
        key, kept, look, inputs = b"", None, None, ""
        try:
            taken.key = self._reply_key(request)
            if self.replies is not None and taken.key:
                key = taken.key
                if self.flights is not None:
                    taken.seat = await self.flights.board(key, until=request.deadline)
                kept, look = await self._recall(request, self.replies, key, taken)
            if kept is None:
                request, decision, inputs = self._decided(request, eligible, admitted)
        except BaseException as error:  # also what an equal request that led has failed with
            taken.seat.fail(error)
            undecided = Decision(request.wanted or eligible.tiers[0], UNDECIDED, None, None, self.policy.version)
            _close_unanswered(self._account(request, undecided, taken), error)
            raise
        if kept is not None:
            return await self._replay(request, kept, look, taken)
        account = self._account(request, decision, taken, inputs)
        decision = account.decision
        try:
            witness = None if self.shadows is None else self.shadows.draw(request, decision)
            account.overhead = overhead = time.monotonic() - request.received
            routes = self.routes.plan(request, decision)[: 1 if admitted.decided else None]
            if decision.verify is None or self.cascade is None:
                begun = await begin(routes, request, failed=account.failed)
            else:
                escalates = partial(self._escalates, request, decision)
                begun = await self.cascade.begin(routes, account, escalates=escalates)
            keep = partial(self._keep, key, look, taken.seat) if key and _is_regular(begun, decision) else None
            chunks = Relay(account, self._large_price, keep, witness, self.assess, self.rooms).chunks(begun)
            try:
                await account.opened
                first = await anext(chunks)
            except BaseException as error:
                await begun.reply.chunks.aclose()  # the backend must not go on for nobody
                if not account.has_served:
                    account.failed(begun.route, error)
                raise
        except BaseException as error:
            taken.seat.fail(error)
            _close_unanswered(account, error)
            raise
        return Answer(
            decision=decision,
            tier=begun.route.tier,
            model=begun.route.model,
            kept=False,
            media_type=begun.reply.media_type,
            first=first,
            rest=chunks,
            cost=account.cost if account.has_served else None,  # a stream has not been counted yet
            baseline=account.baseline,
            overhead=overhead,
            verdict=begun.verdict,
            p_wrong=account.p_wrong,
            remaining=admitted.remaining(time.monotonic()),
        )

    def decide(self, request: Request) -> Decision:
        """Return where the request would go now; nothing is noted.

        Raises:
            BadRequest: no tier can serve it, or the one that it names cannot.
        """
        request, walk = self._assigned(request)
        return walk._choose(self.affinity.marked(request), walk.eligibility.eligible(request))  # noqa: SLF001 - of this class

    def _assigned(self, request: Request) -> "tuple[Request, Pipeline]":
        """Return the request with its arm, where an experiment takes it, and the walk that is that arm's."""
        return (request, self) if self.experiments is None else self.experiments.assign(request, self)

    def _decided(self, request: Request, eligible: Eligible, admitted: Admitted) -> tuple[Request, Decision, str]:
        """Return the request with who holds its KV, where it goes, and why beside its score; who wants to know is told.

        What it was decided from is taken down before the decision is counted, which may change the next one.
        """
        request = self.affinity.marked(request)
        decision = admitted.decided or self._choose(request, eligible)
        inputs = decision_inputs(
            request,
            eligible.tiers,
            because=decision.reason,
            pace=None if self.paced is None else self.paced.pace_of(request),
            affordable=admitted.decided is None,
            excess=self.large_share.excess(request.tenant) if decision.reason == CAPPED else None,
        )
        self.books.metrics.note_share(request.tenant, self.large_share.note(request, decision))
        if self.note is not None:
            self.note(request, decision)
        return request, decision, inputs

    def _choose(self, request: Request, eligible: Eligible) -> Decision:
        """Score the request, where that could matter, and choose."""
        if request.wanted is None and len(eligible.tiers) == 1:
            return Decision(eligible.tiers[0], eligible.reason, None, None, self.policy.version)
        if not self.policy.needs_score(request):
            return self.policy.decide(request, None)
        if request.stalled:
            return Decision(Tier.LARGE, "stalled", None, None, self.policy.version)
        return self.large_share.weigh(request, self.policy.decide(request, self._score(request)))

    def _escalates(self, request: Request, decision: Decision, p_wrong: float) -> bool:
        """Tell whether Large may take over from a reply of Mini's, and count it if so; each request is told of once."""
        found = self.large_share.note_escalation(request, decision, p_wrong)
        if decision.reason != CAPPED:
            self.books.metrics.note_share(request.tenant, found)
        return found != CAPPED

    def _score(self, request: Request) -> Score | None:
        if self.classifier is None or not request.prompt.has_text:
            return None
        try:
            return self.classifier.score(request.prompt)
        except ClassifierError as error:
            _log.warning("request %s has no score: %s", request.id, error)
            return None

    async def _admit(self, request: Request) -> tuple[Eligible, Admitted]:
        """Return the tiers that may serve the request, and what it holds of its tenant's limits."""
        try:
            eligible = self.eligibility.eligible(request)
            self.eligibility.note(eligible)
            return eligible, await self._admitted(request, eligible.tiers)
        except (GatewayError, asyncio.CancelledError) as error:
            if isinstance(error, RateLimited):
                self.books.metrics.note_limit(request.tenant, error.limit)
            reason = CAPABILITY if isinstance(error, BadRequest) else LIMITED
            refused = Decision(request.wanted or Tier.LARGE, reason, None, None, self.policy.version)
            _close_unanswered(self._account(request, refused, Taken(FREE)), error)
            raise

    async def _admitted(self, request: Request, tiers: tuple[Tier, ...]) -> Admitted:
        """Return what the request holds; of Mini alone where Large cannot be paid for and the tenant gives way."""
        try:
            return await self.limits.admit(request, tiers)
        except RateLimited as error:
            if self.paced is None or error.limit not in MONEY or len(tiers) == 1:
                raise
            needs_score = self.policy.needs_score(request) and not request.stalled
            decision = self.paced.affordable(request, self._score(request) if needs_score else None)
            if decision is None:
                raise
        admitted = await self.limits.admit(request, (Tier.MINI,))
        admitted.decided = decision
        return admitted

    def _reply_key(self, request: Request) -> bytes:
        """Return what names the request's kept reply; b"" where it can get none, or nobody wants to know."""
        is_wanted = request.cacheable and (self.replies is not None or self.names_replies)
        return self.key_of(request, self.policy.version) if is_wanted else b""

    async def _recall(
        self, request: Request, replies: Replies, key: bytes, taken: Taken
    ) -> "tuple[KeptReply | None, Look | None]":
        """Return what was kept for an equal request, or for one that means the same, and the look-up by meaning.

        Those who wait for this request get it, too.
        """
        kept, look = taken.seat.kept or await replies.get(key), None
        if kept is None and self.semantic is not None:
            look = await self.semantic.look(request, self.policy.version, taken.spent)
            kept = None if look is None or look.found is None else look.found.reply
        if kept is not None:
            taken.seat.land(kept)
        return kept, look

    def _keep(self, key: bytes, look: "Look | None", seat: Seat, reply: KeptReply) -> None:
        """Give a reply to equal requests, those that wait and later ones, and to those that mean the same."""
        seat.land(reply)
        if self.replies is not None:
            self.replies.put(key, reply)
        if look is not None and self.semantic is not None:
            self.semantic.keep(look, reply)

    async def _replay(self, request: Request, kept: KeptReply, look: "Look | None", taken: Taken) -> Answer:
        """Answer with a kept reply: it costs nothing but the look-up, and what Large would have cost is saved."""
        tier = Tier(kept.tier)
        decision = Decision(tier, "kept", None, None, self.policy.version)
        account = self._account(request, decision, taken)
        decision = account.decision
        if kept.fresh_input is not None and kept.output is not None:
            account.compare(self._large_price, Usage(kept.fresh_input, kept.cached_input, kept.output))
        account.cache = "exact" if look is None or look.found is None else "semantic"
        account.overhead = overhead = time.monotonic() - request.received
        served = None if look is None or self.semantic is None else partial(self.semantic.served, request, look)
        chunks = _replayed(account, kept.body, served)
        try:
            await account.opened
            first = await anext(chunks)
        except BaseException as error:
            _close_unanswered(account, error)
            raise
        return Answer(
            decision=decision,
            tier=tier,
            model=kept.model,
            kept=True,
            media_type=kept.media_type,
            first=first,
            rest=chunks,
            cost=account.cost,
            baseline=account.baseline,
            overhead=overhead,
            similarity=None if look is None or look.found is None else look.found.similarity,
            remaining=taken.admitted.remaining(time.monotonic()),
        )

    def _account(self, request: Request, decision: Decision, taken: Taken, inputs: str = "") -> Account:
        return Account(
            request,
            assigned(request, decision),
            self.books,
            taken,
            sampled=0.0 if self.shadows is None else self.shadows.probability(decision),
            inputs=inputs,
        )

    @property
    def _large_price(self) -> Price | None:
        return self.routes.by_tier[Tier.LARGE].price


def _is_regular(begun: Begun, decision: Decision) -> bool:
    """Tell an answer of the tier that was chosen on purpose from one of a makeshift, which is not worth keeping."""
    return not begun.is_makeshift and decision.reason not in ("default", CAPPED, PACED)


async def _replayed(
    account: Account, body: bytes, served: Callable[[], None] | None
) -> AsyncGenerator[bytes, Sink | None]:
    """Yield a kept body as one piece; its record is closed, and `served` called, when the caller has taken it."""
    outcome = Outcome.HUNG_UP
    try:
        account.first_byte()
        yield body
        outcome = Outcome.KEPT
    finally:
        account.close(outcome, status=200)
    if served is not None:
        served()


def _close_unanswered(account: Account, error: BaseException) -> None:
    """Close the account of a request whose caller gets no reply of a backend, and say why."""
    name = type(error).__name__
    match error:
        case asyncio.CancelledError():
            account.close(ended_by(error)[0], status=HUNG_UP)
        case Rejected():
            account.close(Outcome.REJECTED, status=error.status, error=name)
        case TimedOut():
            account.close(Outcome.BROKEN, status=504, error=name)
        case BackendError():
            account.close(Outcome.BROKEN, status=502, error=name)
        case GatewayError():
            account.close(Outcome.FAILED, status=error.status, error=name)
        case _:
            account.close(Outcome.FAILED, status=500, error=name)
