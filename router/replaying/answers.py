"""A logged request and the decision of a target -> who would have answered it, and what of that the ledger knows.

Where Mini's reply was verified, the ledger has P(wrong) of it, what it took, and what judging it took. So it is known
who answers from another P(wrong) on, or where nothing is verified; and what that takes, but for a reply that nobody
asked for, which shadow calls tell of. A reply that was never judged has no P(wrong): where a target would have judged
one, nothing is known. Money is whole nano-USD.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from router.base import Decision, Tier
from router.ledger.replays import LoggedCall, LoggedRequest

ANSWERS: Final = ("primary", "failover")
NOT_JUDGED: Final = (
    "Mini's reply was not judged then, so that P(wrong) is not known; an experiment with a cascade tells it"
)

_BESIDE: Final = ("classifier", "guardrail")  # of no tier, and needed whoever answers
_ESTIMATED: Final = "tokenizer"  # what a call took, as far as its bytes tell

Cost = Callable[[LoggedCall], int | None]
"""Returns what a call takes at the target's prices; None where it is not known."""


class Answered(NamedTuple):
    """Who answered and would have answered.

    Attributes:
        was_large, is_large: Large, by the log and by the target: was decided on, or answered where replies are judged.
        known_large: the reply whose cost is known is Large's.
        spent: of all that was needed, where nothing moves.
        answer: of what is known of the tier that `known_large` tells.
        other: of all that is needed where it moves, with the reply that a shadow call has got.
        is_drawn: a shadow call could be drawn.
        is_cut_sooner: a part of a stream of Mini's that was sent whole would have been dropped; all of it is counted.
    """

    was_large: bool
    is_large: bool
    known_large: bool
    spent: int | None
    answer: int | None
    other: int | None
    is_drawn: bool = True
    is_cut_sooner: bool = False


class _Way(NamedTuple):
    """Who is asked, and who answers."""

    is_large: bool
    asked: tuple[Tier, ...]
    is_judged: bool


def answered(logged: LoggedRequest, tier: Tier, cost: Cost) -> Answered | None:
    """Return how a request is answered that a tier is decided on; None where no model answered it.

    One whose reply was verified stays what it was.
    """
    answer = answer_of(logged)
    if answer is None:
        return None
    shadow, was_large = _shadow_of(logged), is_of_large(logged)
    needed = [cost(call) for call in logged.calls if call.kind != "shadow"]
    return Answered(
        was_large=was_large,
        is_large=tier is Tier.LARGE if logged.verify is None else was_large,
        known_large=logged.source == Tier.LARGE.value,
        spent=_sum(needed),
        answer=cost(answer),
        other=None if shadow is None else cost(shadow),
    )


def judged(logged: LoggedRequest, decision: Decision, cost: Cost) -> Answered | None:
    """Return how a request is answered whose reply of Mini's was verified; None where no model answered it."""
    if answer_of(logged) is None:
        return None
    was_large = logged.source == Tier.LARGE.value
    calls = [call for call in logged.calls if call.kind != "shadow"]
    if any(call.kind in ANSWERS and call.error for call in calls):  # who failed then is taken to fail again
        spent = _sum(map(cost, calls))
        return Answered(was_large, was_large, was_large, spent, spent, None)
    way = _way(logged, decision)
    needed = [call for call in calls if _is_needed(call, way)]
    if way.is_large == was_large:
        spent = _sum(map(cost, needed))
        return Answered(was_large, was_large, was_large, spent, spent, None)
    cut = [call for call in needed if call.kind == "escalation" and call.told == _ESTIMATED]
    if was_large and not cut:
        taken = _sum(map(cost, needed))
        return Answered(was_large, is_large=False, known_large=False, spent=taken, answer=taken, other=None)
    shadow = _shadow_of(logged)
    beside = [call for call in needed if call not in cut]
    is_makeshift = not was_large and (logged.p_wrong is None or logged.p_wrong >= (logged.verify or 0.0))
    return Answered(
        was_large,
        is_large=way.is_large,
        known_large=was_large,
        spent=_sum(map(cost, calls)),
        answer=_sum(map(cost, calls)),
        other=None if shadow is None else _sum(map(cost, [*beside, shadow])),
        is_drawn=not is_makeshift,
        is_cut_sooner=logged.is_stream and way.is_large and way.is_judged,
    )


def answer_of(logged: LoggedRequest) -> LoggedCall | None:
    """Return the call that answered; None where none did."""
    return next((call for call in reversed(logged.calls) if call.kind in ANSWERS and not call.error), None)


def is_of_large(logged: LoggedRequest) -> bool:
    """Tell whether a request counts as Large's: by who was decided on, or who answered where replies are judged."""
    return (logged.tier if logged.verify is None else logged.source) == Tier.LARGE.value


def _way(logged: LoggedRequest, decision: Decision) -> _Way:
    """Return who is asked of a request whose reply of Mini's was verified.

    Where there was nothing to judge in time, the score stands for P(wrong), as in `router.cascade`.
    """
    if decision.verify is None:
        return _Way(decision.tier is Tier.LARGE, (decision.tier,), is_judged=False)
    score = 1.0 if logged.score is None else logged.score
    p_wrong = score if logged.p_wrong is None else logged.p_wrong
    is_large = p_wrong >= decision.verify
    return _Way(is_large, (Tier.MINI, Tier.LARGE) if is_large else (Tier.MINI,), is_judged=True)


def _is_needed(call: LoggedCall, way: _Way) -> bool:
    return call.kind in _BESIDE or (call.tier in way.asked and (way.is_judged or call.kind != "judge"))


def _shadow_of(logged: LoggedRequest) -> LoggedCall | None:
    """Return the call that tells what the other tier takes; an estimate of it does not, since none knows its error."""
    other = Tier.MINI if logged.source == Tier.LARGE.value else Tier.LARGE
    shadows = (call for call in logged.calls if call.kind == "shadow" and call.tier is other and not call.error)
    return next((call for call in shadows if call.told != _ESTIMATED), None)


def _sum(costs: Iterable[int | None]) -> int | None:
    known = list(costs)
    return None if None in known else sum(each for each in known if each is not None)
