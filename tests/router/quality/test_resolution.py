"""Tests router/quality/resolution.py."""

from dataclasses import replace

import pytest

from router.ledger.conversations import Conversation, Happening
from router.quality.resolution import HOUR, WINDOW, Fate, Resolution, fate_of, resolution, resolutions

TALK = Conversation("acme", "c1", "e", "a", 0.9, began=0.0, latest=100.0, requests=2, starts=(0.0, 100.0))
LATE = 100.0 + WINDOW


def fate(*happenings: tuple[str, float], now: float = LATE, starts: tuple[float, ...] = (0.0, 100.0)) -> Fate:
    talk = replace(
        TALK, happenings=tuple(Happening(*each, 1.0) for each in happenings), starts=starts, latest=starts[-1]
    )
    return fate_of(talk, now=now, window=WINDOW, complex_from=0.5)


def test_silence_for_the_whole_window_is_resolution() -> None:
    assert (fate().is_closed, fate().is_resolved, fate().is_complex) == (True, True, True)
    early = fate(now=LATE - 1)
    assert (early.is_closed, early.is_resolved) == (False, False)


@pytest.mark.parametrize("kind", ["escalate", "reopen"])
def test_what_is_passed_on_or_opened_again_in_time_is_not_resolved(kind: str) -> None:
    assert not fate((kind, 200.0)).is_resolved
    assert fate((kind, LATE + 1), now=LATE + 2).is_resolved  # too late to count
    assert not fate((kind, 200.0), now=LATE - 1).is_closed  # failures do not count before the rest


def test_a_user_closes_and_another_request_opens_again() -> None:
    closed_at = 50.0
    assert fate(("resolved", closed_at), now=closed_at + WINDOW, starts=(0.0, 40.0)).is_resolved
    assert not fate(("resolved", closed_at), now=closed_at + WINDOW).is_resolved  # the request at 100
    assert fate(("resolved", closed_at), now=10 * WINDOW, starts=(0.0, 60.0 + WINDOW)).is_resolved


def test_who_leaves_is_told_beside() -> None:
    left = fate(("abandon", 150.0))
    assert (left.is_abandoned, left.is_resolved) == (True, True)


def test_only_complex_ones_are_counted_and_the_rest_is_told() -> None:
    simple, unscored = replace(TALK, score=0.49), replace(TALK, score=None)
    fates = [
        fate(),
        fate(("escalate", 200.0)),
        fate(now=200.0),
        *(fate_of(each, now=LATE, window=WINDOW, complex_from=0.5) for each in (simple, unscored)),
    ]
    found = resolution(fates)
    assert found == Resolution(closed=2, resolved=1, abandoned=0, pending=1, simple=1, unscored=1, heard=1)
    assert found.rate == 0.5
    assert found.interval is not None
    assert 0.05 < found.interval[0] < 0.5 < found.interval[1] < 0.95
    assert (Resolution().rate, Resolution().interval) == (None, None)


def test_arms_are_apart_and_a_tenant_may_have_a_window_of_its_own() -> None:
    other = replace(TALK, arm="b", tenant="rival")
    found = resolutions(
        [TALK, other],
        now=100.0 + 2 * HOUR,
        complex_from=0.5,
        window_of=lambda tenant: HOUR if tenant == "rival" else WINDOW,
    )
    assert found == {("e", "a"): Resolution(pending=1), ("e", "b"): Resolution(closed=1, resolved=1)}
