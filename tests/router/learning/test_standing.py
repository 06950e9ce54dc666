"""Tests router/learning/standing.py: who serves after what happened."""

import msgspec
import pytest

from router.learning.evidence import MOST, Evidence
from router.learning.standing import (
    Contest,
    Happening,
    NotNow,
    Role,
    Standing,
    began,
    challenged,
    observed,
    promoted,
    rolled_back,
)


def challenge() -> Standing:
    return challenged(began("one", now=1.0), "two", now=2.0)


def happened(standing: Standing) -> list[tuple[str, str]]:
    return [(event.what, event.version) for event in standing.events]


def fed(standing: Standing, difference: float, *, times: int) -> Standing:
    for _ in range(times):
        standing = observed(standing, difference, now=9.0)
    return standing


def test_a_challenger_that_wins_serves_and_is_watched_by_whom_it_beat() -> None:
    standing = fed(challenge(), 0.5, times=30)
    assert (standing.champion, standing.contest) == ("two", standing.contest)
    assert standing.contest is not None
    assert (standing.contest.rival, standing.contest.role, standing.contest.since) == ("one", Role.WATCHER, 9.0)
    assert happened(standing)[-1] == (Happening.PROMOTED, "two")
    promotion = standing.events[-1]
    assert promotion.evidence is not None
    assert promotion.why == f"better on {promotion.evidence.n} requests"
    assert promotion.champion == "one"


def test_a_champion_that_loses_to_its_watcher_is_rolled_back() -> None:
    standing = fed(promoted(challenge(), now=3.0), 0.5, times=30)
    assert (standing.champion, standing.contest) == ("one", None)
    assert happened(standing)[-1] == (Happening.ROLLED_BACK, "two")
    assert standing.events[-1].evidence is not None


def test_a_champion_that_beats_its_watcher_stays() -> None:
    standing = fed(promoted(challenge(), now=3.0), -0.5, times=30)
    assert (standing.champion, standing.contest) == ("two", None)
    assert happened(standing)[-1] == (Happening.KEPT, "two")


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (fed(challenge(), -0.5, times=30), "worse on"),
        (
            observed(Standing("one", Contest("two", Role.CHALLENGER, 1.0, Evidence(n=MOST - 1))), 0.0, now=2.0),
            f"no result on {MOST}",
        ),
    ],
    ids=["worse", "no result"],
)
def test_a_challenger_that_does_not_win_is_dropped_and_stays_on_record(standing: Standing, why: str) -> None:
    assert (standing.champion, standing.contest) == ("one", None)
    assert happened(standing)[-1] == (Happening.DROPPED, "two")
    assert standing.events[-1].why.startswith(why)


def test_another_challenger_takes_the_place_of_the_first_and_begins_at_nothing() -> None:
    standing = challenged(fed(challenge(), 0.5, times=3), "three", now=5.0)
    assert standing.contest == Contest("three", Role.CHALLENGER, 5.0)
    assert happened(standing)[-2:] == [(Happening.DROPPED, "two"), (Happening.CHALLENGED, "three")]
    watched = challenged(promoted(challenge(), now=3.0), "three", now=5.0)
    assert happened(watched)[-2:] == [(Happening.KEPT, "two"), (Happening.CHALLENGED, "three")]


def test_a_person_goes_back_as_far_as_there_was_a_champion() -> None:
    standing = promoted(challenged(promoted(challenge(), now=3.0), "three", now=4.0), now=5.0)
    for expected in ("two", "one"):
        standing = rolled_back(standing, now=6.0)
        assert (standing.champion, standing.contest) == (expected, None)
    with pytest.raises(NotNow, match="the first that served"):
        rolled_back(standing, now=7.0)


def test_a_roll_back_ends_the_contest_of_a_challenger() -> None:
    standing = challenged(promoted(challenge(), now=3.0), "three", now=4.0)
    standing = rolled_back(standing, now=5.0)
    assert standing.champion == "one"
    assert happened(standing)[-2:] == [(Happening.DROPPED, "three"), (Happening.ROLLED_BACK, "two")]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NotNow, match="serves already"):
        challenged(began("one", now=1.0), "one", now=2.0)
    with pytest.raises(NotNow, match="there is no challenger"):
        promoted(began("one", now=1.0), now=2.0)
    with pytest.raises(NotNow, match="there is no challenger"):
        promoted(promoted(challenge(), now=3.0), now=4.0)  # a watcher is none


def test_without_a_contest_a_difference_changes_nothing() -> None:
    standing = began("one", now=1.0)
    assert observed(standing, 1.0, now=2.0) is standing


def test_a_standing_is_the_same_after_it_was_written_and_read() -> None:
    standing = challenged(fed(challenge(), 0.37, times=30), "three", now=5.0)
    assert msgspec.json.decode(msgspec.json.encode(standing), type=Standing) == standing
