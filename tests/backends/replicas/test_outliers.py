"""Tests backends/replicas/outliers.py: who is in service after which ends of calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import (
    BackendError,
    Broken,
    ConnectFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    Overloaded,
    Rejected,
    StreamBroken,
)
from backends.replicas.outliers import COOL_DOWN, OUT_FOR, PATIENCE, REST, UNWELL, Outliers
from backends.replicas.standing import Standing


def group(count: int) -> tuple[list[Standing], Outliers]:
    standings = [Standing(str(at)) for at in range(count)]
    return standings, Outliers(standings)


def fail(outliers: Outliers, standing: Standing, error: BaseException, now: float = 100.0, *, times: int = 1) -> None:
    for _ in range(times):
        outliers.failed(standing, error, now, took=0.0, is_trial=False)


def try_again(standing: Standing, now: float) -> None:
    standing.on_trial, standing.tried_at = True, now


FAULTS = [ConnectFailed(""), FirstTokenTimeout(""), IdleTimeout(""), Broken("", status=500), StreamBroken("")]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_five_failures_in_a_row_take_a_replica_out_for_half_a_minute(error: BackendError) -> None:
    (bad, _), outliers = group(2)
    fail(outliers, bad, error, times=4)
    assert not bad.is_out
    fail(outliers, bad, error)
    assert bad.out_until == 100.0 + OUT_FOR
    assert bad.ejected == {type(error).__name__: 1}
    assert not outliers.is_due(bad, 129.9)
    assert outliers.is_due(bad, 130.0)


@pytest.mark.parametrize("error", [Rejected(400, b"", ""), None])
def test_an_answer_between_ends_the_row(error: BackendError | None) -> None:
    (bad, _), outliers = group(2)
    for _ in range(3):
        fail(outliers, bad, Broken("", status=500), times=4)
        if error is None:
            outliers.succeeded(bad, 100.0, is_trial=False)
        else:
            fail(outliers, bad, error)
    assert not bad.is_out


def test_who_left_and_what_is_no_fault_of_the_replica_counts_for_nothing() -> None:
    (one, _), outliers = group(2)
    fail(outliers, one, GeneratorExit(), times=9)
    fail(outliers, one, ValueError(), times=9)
    fail(outliers, one, DeadlineExceeded(""), times=9)
    assert (one.failures, one.is_out) == (0, False)
    for _ in range(5):
        outliers.failed(one, DeadlineExceeded(""), 100.0, took=PATIENCE, is_trial=False)
    assert one.is_out, "it was silent for long, whatever the call's own time"


def test_one_call_tries_it_and_each_failure_doubles_the_time() -> None:
    (bad, _), outliers = group(2)
    fail(outliers, bad, Broken("", status=500), times=5)
    now = 100.0
    for times in (2, 3, 4):
        now = bad.out_until
        try_again(bad, now)
        assert not outliers.is_due(bad, now), "one at a time"
        outliers.failed(bad, Broken("", status=500), now, took=0.0, is_trial=True)
        assert bad.out_until == now + times * OUT_FOR
    assert bad.ejected.total() == 1


def test_a_trial_that_is_answered_brings_it_back_with_a_slow_start() -> None:
    (bad, _), outliers = group(2)
    fail(outliers, bad, Broken("", status=500), times=5)
    try_again(bad, 130.0)
    outliers.succeeded(bad, 131.0, is_trial=True)
    assert (bad.is_out, bad.on_trial, bad.is_warming, bad.back_at, bad.failures) == (False, False, True, 131.0, 0)
    fail(outliers, bad, Broken("", status=500), 132.0, times=5)
    assert bad.out_until == 132.0 + 2 * OUT_FOR, "soon after: longer"
    try_again(bad, 192.0)
    outliers.succeeded(bad, 192.0, is_trial=True)
    fail(outliers, bad, Broken("", status=500), 300.0, times=5)
    assert bad.out_until == 300.0 + OUT_FOR, "long after: as the first time"


def test_a_trial_that_nobody_waited_for_is_followed_by_another() -> None:
    (bad, _), outliers = group(2)
    fail(outliers, bad, ConnectFailed(""), times=5)
    try_again(bad, 130.0)
    outliers.failed(bad, GeneratorExit(), 130.5, took=0.5, is_trial=True)
    assert outliers.is_due(bad, 130.5)
    try_again(bad, 130.5)
    outliers.failed(bad, Overloaded("", retry_after=7.0), 131.0, took=0.5, is_trial=True)
    assert bad.out_until == 138.0


def test_calls_from_before_say_nothing_of_a_replica_that_is_out() -> None:
    (bad, _), outliers = group(2)
    fail(outliers, bad, ConnectFailed(""), times=5)
    outliers.succeeded(bad, 101.0, is_trial=False)
    fail(outliers, bad, ConnectFailed(""), 101.0, times=9)
    assert bad.out_until == 130.0


def test_the_last_one_is_never_taken_out_for_answering_badly() -> None:
    (one, other), outliers = group(2)
    fail(outliers, one, Broken("", status=500), times=5)
    fail(outliers, other, Broken("", status=500), times=50)
    assert (one.is_out, other.is_out) == (True, False)
    (alone,), outliers = group(1)
    fail(outliers, alone, Broken("", status=500), times=50)
    assert not alone.is_out


def test_the_last_one_gets_a_rest_where_it_does_not_answer_at_all() -> None:
    (alone,), outliers = group(1)
    fail(outliers, alone, ConnectFailed(""), times=5)
    assert alone.out_until == 100.0 + REST
    assert not outliers.may_be_last_hope(alone, 100.5)
    assert outliers.may_be_last_hope(alone, 101.0)
    try_again(alone, 101.0)
    outliers.failed(alone, ConnectFailed(""), 101.0, took=0.0, is_trial=True)
    assert alone.out_until == 102.0, "no longer than that, however often"
    try_again(alone, 102.0)
    outliers.failed(alone, Broken("", status=500), 102.0, took=0.0, is_trial=True)
    assert not alone.is_out, "bad as it is, it answers"


def test_a_replica_that_drains_stands_in_for_nobody() -> None:
    (one, other), outliers = group(2)
    other.is_draining = True
    fail(outliers, one, Broken("", status=500), times=9)
    assert not one.is_out


def test_a_stream_that_begins_is_the_word_of_one_that_was_silent_and_of_no_other() -> None:
    (alone,), outliers = group(1)
    fail(outliers, alone, ConnectFailed(""), times=5)
    try_again(alone, 101.0)
    outliers.spoke(alone, 101.1, is_trial=True)
    assert not alone.is_out
    (bad, _), outliers = group(2)
    fail(outliers, bad, StreamBroken(""), times=4)
    outliers.spoke(bad, 101.0, is_trial=False)
    fail(outliers, bad, StreamBroken(""))
    assert bad.is_out, "each of its streams begins well"


@pytest.mark.parametrize(("retry_after", "seconds"), [(7.0, 7.0), (None, COOL_DOWN), (0.0, 0.0)])
def test_one_without_room_cools_down_for_as_long_as_it_says(retry_after: float | None, seconds: float) -> None:
    (one, _), outliers = group(2)
    fail(outliers, one, Overloaded("", retry_after=retry_after), times=9)
    assert (one.cool_until, one.is_out, one.failed) == (100.0 + seconds, False, {"Overloaded": 9})


def test_a_health_check_brings_back_who_was_silent_and_nobody_else() -> None:
    (silent, bad, _), outliers = group(3)
    fail(outliers, silent, ConnectFailed(""), times=5)
    fail(outliers, bad, Broken("", status=500), times=5)
    for each in (silent, bad):
        outliers.looked(each, 105.0, is_well=True, again_in=6.0)
    assert (outliers.is_due(silent, 105.0), outliers.is_due(bad, 105.0)) == (True, False)
    outliers.looked(silent, 131.0, is_well=False, again_in=6.0)
    assert silent.out_until == 137.0, "no caller shall try it while it is known to be away"


def test_health_checks_that_fail_take_a_replica_out() -> None:
    (idle, _), outliers = group(2)
    for _ in range(5):
        outliers.looked(idle, 100.0, is_well=False, again_in=6.0)
    assert idle.ejected == {UNWELL: 1}


ENDS = [None, *FAULTS, Overloaded("", retry_after=3.0), Rejected(400, b"", ""), GeneratorExit()]
steps = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(ENDS), st.floats(0, 20)), max_size=200)


@given(steps)
def test_nobody_is_out_for_long_where_there_was_no_other_and_one_call_at_a_time_tries(
    steps: list[tuple[int, BaseException | None, float]],
) -> None:
    standings, outliers = group(3)
    now = 1000.0
    for at, end, passed in steps:
        now += passed
        standing = standings[at]
        if standing.is_out:
            if not outliers.is_due(standing, now):
                assert standing.out_until > now, "no trial of it is under way"
                continue
            try_again(standing, now)
            assert not outliers.is_due(standing, now)
        before = standing.out_until
        if end is None:
            outliers.succeeded(standing, now, is_trial=standing.is_out)
        else:
            outliers.failed(standing, end, now, took=0.0, is_trial=standing.is_out)
        assert not standing.on_trial
        if standing.out_until > before and standing.out_until > now + 3.0:
            assert any(not each.is_out for each in standings if each is not standing)
        if standing.out_until and not before:
            assert standing.failures >= 5
