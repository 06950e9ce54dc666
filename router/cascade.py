"""Mini first, verified, then Large where Mini's reply is likely wrong.

Stands where `router.dispatch.begin` stands, for decisions that ask for it. What an answer needs is held back: all of
an unstreamed reply; of a stream the first tokens, for a short time. Once a byte has been let out nothing moves. Knows
nothing of how a reply is judged.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from backends.base import BackendError, Rejected
from classifier.base import Sample, Verifier
from classifier.verifying.answers import wanted_by
from router.account import Account
from router.base import Request, RoutesFailed
from router.dispatch import Begun, begin, call_for, leads_on
from router.guards.large_share import CAPPED
from router.held import HeldReply
from router.routes import Route

VERDICTS: Final = ("verified", "unverified", "escalated", "escalation_failed", CAPPED)
"""Mini's reply passed; it came too late to be looked at; Large answers in its place; Large should have, and could
not; Large should have, and its share is used up."""

SECOND_TEMPERATURE: Final = 0.7

ANEW: Final = "Work it out in another way than first comes to mind, and state the final answer clearly."
"""What a second sample is told where nothing else is configured."""

_YES: Final = Raw(b"true")
_TOP: Final = Raw(b"1")  # what some servers need to tell anything; the token that was drawn is all that is read
_UNSET: Final = (None, Raw(b"null"), Raw(b"false"))


@dataclass(frozen=True, slots=True)
class Cascade:
    """How Mini is tried.

    Attributes:
        second_sample: Mini is asked twice at the same time; the second reply only judges the first.
        instruction: what the second sample is told in addition; "" where it is asked the same.
        hold_tokens: of a stream, that are held back at most.
        hold_seconds: for which a stream is held back at most, and a whole reply for the second sample.
        asks_logprobs: Mini's backend can tell log-probabilities.
    """

    verifier: Verifier
    second_sample: bool
    instruction: str
    hold_tokens: int
    hold_seconds: float
    asks_logprobs: bool

    async def begin(self, routes: tuple[Route, ...], account: Account, *, escalates: Callable[[float], bool]) -> Begun:
        """Return the reply that the caller gets, as it begins.

        Args:
            routes: Mini's and Large's; where only one may be tried, it answers as it would without a cascade.
            account: told of every attempt but the one that is returned.
            escalates: asked once, with P(Mini's reply is wrong), before Large takes over from one.

        Raises:
            Rejected: a backend's own 4xx.
            RoutesFailed: neither could answer.
        """
        request = account.request
        if len(routes) == 1:
            return await begin(routes, request, failed=account.failed)
        mini, large = routes
        trial = self._trial(mini, account)
        failure: BackendError | None = None
        begun: Begun | None = None
        try:
            begun = await self._try(trial, escalates)
        except BackendError as error:
            account.failed(mini, error)
            failure = _mended_elsewhere(error, trial)
        except BaseException as error:  # also when the caller leaves: the backend was at work
            account.lost(mini, trial.first.before)
            account.failed(mini, error)
            await trial.first.drop()
            raise
        finally:
            trial.end_second()
        if begun is not None:
            return begun
        if failure is not None:
            return await begin((large,), request, failed=account.failed, tried=(failure,))
        return await _escalate(trial, large)

    def _trial(self, mini: Route, account: Account) -> "_Trial":
        """Ask Mini, once or twice."""
        request = account.request
        until = min(time.monotonic() + self.hold_seconds, request.deadline)
        adds_logprobs = self.asks_logprobs and request.fields.get("logprobs") in _UNSET
        asked = _with_logprobs(request) if adds_logprobs else request
        first = HeldReply(mini, call_for(asked, mini), tokens=self.hold_tokens if request.stream else None)
        second = None
        if self.second_sample:
            second = HeldReply(mini, call_for(second_of(request, self.instruction), mini), tokens=None)
        return _Trial(account, first, second, until=until, adds_logprobs=adds_logprobs)

    async def _try(self, trial: "_Trial", escalates: Callable[[float], bool]) -> Begun | None:
        """Return Mini's reply where it may be let out, None where Large shall answer.

        Raises:
            BackendError: Mini gave none.
        """
        first, account = trial.first, trial.account
        await first.wait(until=trial.until if account.request.stream else None)
        trial.p_wrong = await self._p_wrong(trial)
        if trial.p_wrong is None:
            return await trial.let_out("unverified", is_makeshift=True)
        wrong = account.decision.verify
        if wrong is None or trial.p_wrong < wrong:
            return await trial.let_out("verified", is_makeshift=False)
        return None if escalates(trial.p_wrong) else await trial.let_out(CAPPED, is_makeshift=True)

    async def _p_wrong(self, trial: "_Trial") -> float | None:
        """Return how likely Mini is wrong; None where nothing came to be judged and the prompt alone does not say."""
        first, decision = trial.first, trial.account.decision
        score = 1.0 if decision.score is None else decision.score.value
        replies = [first.sample]
        if first.is_whole:
            replies += await self._second(trial)
        elif not replies[0].text:
            return score if decision.verify is not None and score >= decision.verify else None
        return self.verifier.p_wrong(score, replies, wanted=wanted_by(trial.account.request.prompt))

    async def _second(self, trial: "_Trial") -> list[Sample]:
        """Return the second reply if it comes in time; that it failed or is late changes nothing else."""
        second, request = trial.second, trial.account.request
        if second is None:
            return []
        until = trial.until if request.stream else min(time.monotonic() + self.hold_seconds, request.deadline)
        with suppress(BackendError):
            await second.wait(until=until)
        return [second.sample] if second.is_whole else []


class _Trial:
    """Mini's replies to one request while nobody has been given any."""

    def __init__(
        self, account: Account, first: HeldReply, second: HeldReply | None, *, until: float, adds_logprobs: bool
    ) -> None:
        self.account = account
        self.first, self.second = first, second
        self.until = until
        self.adds_logprobs = adds_logprobs
        self.p_wrong: float | None = None

    async def let_out(self, verdict: str, *, is_makeshift: bool) -> Begun:
        reply, data = await self.first.let_out()
        self.account.judged(verdict, self.p_wrong)
        return Begun(
            self.first.route,
            reply,
            data,
            is_makeshift=is_makeshift,
            verdict=verdict,
            adds_logprobs=self.adds_logprobs,
        )

    def end_second(self) -> None:
        """End the second sample, whether it is needed no more or comes too late, and note what it took."""
        second = self.second
        if second is None:
            return
        second.stop()
        if second.error is not None:
            self.account.failed(second.route, second.error, kind="judge")
        elif second.is_whole:
            self._unserved("judge", second, stream=True)
        else:
            self.account.lost(second.route, second.before)
            self.account.cut("judge", second.route, second.replica, output=second.tokens)

    def note_escalation(self) -> None:
        self._unserved("escalation", self.first, stream=self.account.request.stream)

    def _unserved(self, kind: str, held: HeldReply, *, stream: bool) -> None:
        self.account.lost(held.route, held.before)
        self.account.unserved(
            kind,
            held.route,
            held.replica,
            held.usage,
            contradicts=held.contradicts,
            came=held.came(strips_logprobs=self.adds_logprobs) if held.usage is None else 0,
            stream=stream,
        )


async def _escalate(trial: _Trial, large: Route) -> Begun:
    """Let Large answer; where it cannot, Mini's reply is an answer all the same.

    A stream of Mini that has not ended ends here. Should Large fail after that, Mini is asked again.
    """
    account, first = trial.account, trial.first
    if not first.is_whole:
        account.lost(first.route, first.before)
        account.cut("escalation", first.route, first.replica, output=first.tokens)
        await first.drop()
    try:
        begun = await begin((large,), account.request, failed=account.failed)
    except (RoutesFailed, Rejected) as error:
        if first.is_whole:
            return await trial.let_out("escalation_failed", is_makeshift=True)
        account.judged("escalation_failed", trial.p_wrong)
        tried = error.causes if isinstance(error, RoutesFailed) else (error,)
        begun = await begin((first.route,), account.request, failed=account.failed, tried=tried)
        return msgspec.structs.replace(begun, verdict="escalation_failed")
    except BaseException:
        if first.is_whole:
            trial.note_escalation()
        raise
    if first.is_whole:
        trial.note_escalation()
    account.judged("escalated", trial.p_wrong)
    return msgspec.structs.replace(begun, verdict="escalated")


def _mended_elsewhere(error: BackendError, trial: _Trial) -> BackendError:
    """Return the error after which Large takes over; raise where that is of no use.

    A refusal of a body to which we added something may be ours to mend; if it is the caller's, Large says it again.
    """
    is_ours = isinstance(error, Rejected) and trial.adds_logprobs
    if isinstance(error, Rejected) and not is_ours:
        raise error
    if not (is_ours or leads_on(error)):
        raise RoutesFailed((error,)) from error
    return error


def _with_logprobs(request: Request) -> Request:
    return msgspec.structs.replace(request, fields={"top_logprobs": _TOP, **request.fields, "logprobs": _YES})


def second_of(request: Request, instruction: str) -> Request:
    """Return the same question for a second sample: told a little more, drawn anew, streamed so that it can be cut."""
    fields = {
        **request.fields,
        "temperature": Raw(msgspec.json.encode(SECOND_TEMPERATURE)),
        "seed": Raw(msgspec.json.encode(_other_seed(request.fields))),
        "stream": _YES,
    }
    if instruction and "messages" in fields:
        fields["messages"] = _told(fields["messages"], instruction)
    own_id = f"{request.caller_id or request.id}-2"  # some engines refuse an id that is under way already
    return msgspec.structs.replace(request, fields=fields, stream=True, wants_usage=False, caller_id=own_id)


def _other_seed(fields: Mapping[str, Raw]) -> int:
    with suppress(msgspec.DecodeError):
        return (msgspec.json.decode(fields.get("seed", b"0"), type=int) + 1) % (1 << 31)
    return 1


def _told(messages: Raw, instruction: str) -> Raw:
    """Return the messages with an instruction at the end of the last, where that is the user's.

    Not as a message of its own: many templates refuse two of one role.
    """
    every = msgspec.json.decode(messages, type=list[Raw])
    last: dict[str, Any] = msgspec.json.decode(every[-1])
    content = last.get("content")
    if last.get("role") != "user" or not content:
        return messages
    if isinstance(content, str):
        last["content"] = f"{content}\n\n{instruction}"
    else:
        last["content"] = [*content, {"type": "text", "text": instruction}]
    return Raw(msgspec.json.encode([*every[:-1], last]))
