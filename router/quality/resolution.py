"""Conversations -> how many of the complex ones were resolved: closed, and neither passed on nor opened again.

A conversation is closed when a user says so, or else with its latest request; what happens within the window after
that decides. Until the window has passed nobody knows, and it is counted as pending, never as resolved. Which of them
are complex is fixed by the first score that was logged, before that request was routed: a class that depended on the
answer, or on an arm's own threshold, would compare unlike things. Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from router.ledger.conversations import Conversation
from router.statistics.proportions import wilson

HOUR: Final = 3_600.0  # seconds
WINDOW: Final = 72 * HOUR

WindowOf = Callable[[str], float]
"""Takes a tenant; returns the seconds in which its conversations may open again."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one conversation.

    Attributes:
        is_complex: None where nothing of it was scored.
        is_closed: its window has passed.
        is_resolved: closed, and neither passed on nor opened again.
        is_abandoned: its user left, which by itself is neither.
    """

    conversation: Conversation
    is_complex: bool | None
    is_closed: bool
    is_resolved: bool
    is_abandoned: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """Complex conversations of one arm.

    Attributes:
        closed: the denominator.
        resolved: of them.
        abandoned: of the closed ones; resolved or not.
        pending: complex ones whose window has not passed.
        simple, unscored: left out, for their first score or for want of one.
        heard: of the closed ones, those of which a user told anything; the others count by their silence.
    """

    closed: int = 0
    resolved: int = 0
    abandoned: int = 0
    pending: int = 0
    simple: int = 0
    unscored: int = 0
    heard: int = 0

    @property
    def rate(self) -> float | None:
        """Return the share that was resolved; None where none is closed."""
        return self.resolved / self.closed if self.closed else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return its 95 % interval by Wilson; None where none is closed."""
        return wilson(self.resolved, self.closed) if self.closed else None


def fate_of(conversation: Conversation, *, now: float, window: float, complex_from: float) -> Fate:
    """Return what became of a conversation as it is known at `now`, seconds since 1970.

    Args:
        window: seconds in which it may open again.
        complex_from: the first score from which on it is complex.
    """
    said = [each for each in conversation.happenings if each.value > 0.0 and each.given <= now]
    closing = next((each.given for each in said if each.kind == "resolved"), None)
    closed_at = conversation.latest if closing is None else closing
    until = closed_at + window
    passed_on = any(each.kind == "escalate" and each.given <= until for each in said)
    opened = any(each.kind == "reopen" and each.given <= until for each in said) or (
        closing is not None and any(closing < start <= min(until, now) for start in conversation.starts)
    )
    is_closed = now >= until  # also of what was passed on: failures that are told early must not count before the rest
    return Fate(
        conversation=conversation,
        is_complex=None if conversation.score is None else conversation.score >= complex_from,
        is_closed=is_closed,
        is_resolved=is_closed and not passed_on and not opened,
        is_abandoned=any(each.kind == "abandon" for each in said),
    )


def resolution(fates: Iterable[Fate]) -> Resolution:
    """Return how many of the complex conversations were resolved."""
    counts = dict.fromkeys(("closed", "resolved", "abandoned", "pending", "simple", "unscored", "heard"), 0)
    for fate in fates:
        if not fate.is_complex:
            counts["unscored" if fate.is_complex is None else "simple"] += 1
        elif not fate.is_closed:
            counts["pending"] += 1
        else:
            counts["closed"] += 1
            counts["resolved"] += fate.is_resolved
            counts["abandoned"] += fate.is_abandoned
            counts["heard"] += bool(fate.conversation.happenings)
    return Resolution(**counts)


def resolutions(
    conversations: Iterable[Conversation],
    *,
    now: float,
    complex_from: float,
    window_of: WindowOf = lambda _tenant: WINDOW,
) -> dict[tuple[str, str], Resolution]:
    """Return the resolution by experiment and arm; ("", "") is what no experiment has assigned."""
    by_arm: dict[tuple[str, str], list[Fate]] = {}
    for each in conversations:
        fate = fate_of(each, now=now, window=window_of(each.tenant), complex_from=complex_from)
        by_arm.setdefault((each.experiment, each.arm), []).append(fate)
    return {arm: resolution(fates) for arm, fates in sorted(by_arm.items())}
