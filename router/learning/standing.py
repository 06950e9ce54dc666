"""What happened in a registry -> its next state.

One router serves: the champion. At most one other is compared with it on later traffic: a challenger, which takes
the place if it is shown to be better, or the watcher, a champion of before, which takes it back. Whatever the end,
all versions and all that happened stay on record. Pure; files are for `registry.py`.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from router.learning.evidence import Evidence, Verdict


class Role(StrEnum):
    """Why a rival is compared with the champion."""

    CHALLENGER = "challenger"
    WATCHER = "watcher"


class Happening(StrEnum):
    """What happened to a version."""

    BEGAN = "began"  # the first champion
    CHALLENGED = "challenged"
    PROMOTED = "promoted"
    DROPPED = "dropped"  # a challenger that was worse, or showed nothing, or was replaced
    KEPT = "kept"  # a champion whose watch ended without its losing
    ROLLED_BACK = "rolled back"


class Contest(Struct, frozen=True):
    """A comparison that is under way.

    Attributes:
        rival: the version that is compared with the champion.
        since: seconds since 1970; no request that came before counts.
    """

    rival: str
    role: Role
    since: float
    evidence: Evidence = Evidence()


class Event(Struct, frozen=True):
    """Something that happened.

    Attributes:
        at: seconds since 1970.
        version: whom it happened to.
        champion: who served before.
        why: in a few words.
        evidence: on which it rests; None where a person decided.
    """

    at: float
    what: Happening
    version: str
    champion: str
    why: str
    evidence: Evidence | None = None


class Standing(Struct, frozen=True):
    """Who serves, who is compared, what happened."""

    champion: str
    contest: Contest | None = None
    events: tuple[Event, ...] = ()


class NotNow(Exception):
    """What was asked does not fit how things stand; the message says why and what would."""


def began(version: str, *, now: float) -> Standing:
    """Return the state with its first champion."""
    event = Event(now, Happening.BEGAN, version, version, "the configuration names it")
    return Standing(version, events=(event,))


def challenged(standing: Standing, version: str, *, now: float) -> Standing:
    """Return the state in which a version is compared with the champion; an earlier contest ends.

    Raises:
        NotNow: the version is the champion.
    """
    if version == standing.champion:
        raise NotNow(f"{version} serves already; challenge it with another version")
    ended = _ended(standing, "another challenger came", now=now)
    contest = Contest(version, Role.CHALLENGER, now)
    return _with(ended, Happening.CHALLENGED, version, "registered", now=now, contest=contest)


def promoted(standing: Standing, *, now: float, why: str = "a person decided") -> Standing:
    """Return the state in which the challenger serves and the champion watches.

    Raises:
        NotNow: there is no challenger.
    """
    contest = standing.contest
    if contest is None or contest.role is not Role.CHALLENGER:
        raise NotNow("there is no challenger; register one with ./tandem models challenge WEIGHTS")
    watch = Contest(standing.champion, Role.WATCHER, now)
    evidence = contest.evidence if contest.evidence.n else None
    return _with(standing, Happening.PROMOTED, contest.rival, why, now=now, contest=watch, evidence=evidence)


def rolled_back(standing: Standing, *, now: float, why: str = "a person decided") -> Standing:
    """Return the state in which the champion before this one serves again, and nothing is compared.

    Raises:
        NotNow: there was none before.
    """
    before = _before(standing)
    if before is None:
        raise NotNow(f"{standing.champion} is the first that served; there is nothing to go back to")
    contest = standing.contest
    watched = contest is not None and contest.role is Role.WATCHER
    evidence = contest.evidence if contest is not None and watched and contest.evidence.n else None
    ended = standing if watched else _ended(standing, "the champion was rolled back", now=now)
    loser = standing.champion
    after = _with(ended, Happening.ROLLED_BACK, loser, why, now=now, contest=None, evidence=evidence)
    return replace(after, champion=before)


def observed(standing: Standing, difference: float, *, now: float) -> Standing:
    """Return the state after one more request of the contest, which the evidence may end."""
    contest = standing.contest
    if contest is None:
        return standing
    evidence = contest.evidence.after(difference)
    after = replace(standing, contest=replace(contest, evidence=evidence))
    verdict = evidence.verdict
    if verdict is Verdict.OPEN:
        return after
    if verdict is Verdict.BETTER:
        move = promoted if contest.role is Role.CHALLENGER else rolled_back
        return move(after, now=now, why=f"{verdict} on {evidence.n} requests")
    return _ended(after, f"{verdict} on {evidence.n} requests", now=now)


def _ended(standing: Standing, why: str, *, now: float) -> Standing:
    """Return the state without a contest: a challenger is dropped, a watched champion is kept."""
    contest = standing.contest
    if contest is None:
        return standing
    evidence = contest.evidence if contest.evidence.n else None
    if contest.role is Role.CHALLENGER:
        return _with(standing, Happening.DROPPED, contest.rival, why, now=now, contest=None, evidence=evidence)
    why = f"its watcher: {why}"
    return _with(standing, Happening.KEPT, standing.champion, why, now=now, contest=None, evidence=evidence)


def _with(
    standing: Standing,
    what: Happening,
    version: str,
    why: str,
    *,
    now: float,
    contest: Contest | None,
    evidence: Evidence | None = None,
) -> Standing:
    event = Event(now, what, version, standing.champion, why, evidence)
    champion = version if what is Happening.PROMOTED else standing.champion
    return Standing(champion, contest, (*standing.events, event))


def _before(standing: Standing) -> str | None:
    """Return who served before the champion: promotions that were taken back do not count."""
    served: list[str] = []
    for event in standing.events:
        if event.what is Happening.BEGAN or event.what is Happening.PROMOTED:
            served.append(event.version)
        elif event.what is Happening.ROLLED_BACK and served:
            served.pop()
    return served[-2] if len(served) > 1 else None
