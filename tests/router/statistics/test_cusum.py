"""Tests router/statistics/cusum.py and router/statistics/watchable.py."""

import numpy as np
import pytest

from router.statistics.cusum import Chart, Cusum, arl, chart, normal_arl, two_sided


@pytest.mark.parametrize(
    ("accuracy", "every", "h", "delays"),
    [
        (0.95, 1e4, 4.90, (202, 441, 83)),
        (0.90, 1e4, 4.58, (307, 666, 124)),
        (0.90, 1e5, 6.87, (493, 1_255, 189)),
        (0.85, 1e4, 4.37, (388, 831, 157)),
        (0.85, 1e5, 6.64, (638, 1_628, 242)),
    ],
)
def test_limits_and_delays_are_the_known_ones(
    accuracy: float, every: float, h: float, delays: tuple[int, int, int]
) -> None:
    made = chart(accuracy, false_alarm_every=every)
    assert made.h == pytest.approx(h, abs=0.06)
    for drop, delay in zip((0.05, 0.03, 0.1), delays, strict=True):
        assert made.run_length(accuracy - drop) == pytest.approx(delay, rel=0.01)


@pytest.mark.parametrize(
    ("accuracy", "drop", "every"),
    [(0.6, 0.2, 1_000), (0.9, 0.5, 1_000), (0.2, 0.05, 1e4), (0.7, 0.1, 500)],
)
def test_false_alarms_are_as_far_apart_as_was_asked_for(accuracy: float, drop: float, every: float) -> None:
    made = chart(accuracy, drop=drop, false_alarm_every=every)
    assert made.run_length(accuracy) == pytest.approx(every, rel=1e-6)


def test_a_stream_rings_as_often_as_the_chart_says() -> None:
    made, chance = chart(0.8, drop=0.1, false_alarm_every=300), np.random.default_rng(3)
    watch, rang = Cusum(made, chance.random), 0
    answers = (chance.random(60_000) < 0.8).tolist()
    for is_right in answers:
        rang += watch.observe(is_right=is_right)
    assert watch.observed == len(answers)
    assert len(answers) / rang == pytest.approx(300, rel=0.15)


def test_the_chain_is_the_small_system_that_can_be_solved_by_hand() -> None:
    # from 0 a wrong answer leads to 1, and a second one in a row to the limit of 2
    p = 0.75
    assert arl(p, up=1, down=1, limit=2) == pytest.approx((2 - p) / (1 - p) ** 2)


def test_sums_never_fall_below_zero_and_begin_anew_after_an_alarm() -> None:
    watch = Cusum(Chart(0.9, 0.05, 0.1, up=3, down=1, limit=6, low=0.0), lambda: 0.5)
    for _ in range(50):
        assert not watch.observe(is_right=True)
    assert watch.level == 0.0
    assert not watch.observe(is_right=False)
    assert watch.level == 0.5
    assert not watch.observe(is_right=True)
    assert watch.level == pytest.approx(1 / 3)
    assert not watch.observe(is_right=False)
    assert watch.observe(is_right=False)
    assert watch.level == 0.0


def test_a_run_takes_the_lower_limit_as_often_as_the_chart_says() -> None:
    made = Chart(0.9, 0.05, 0.1, up=5, down=1, limit=6, low=0.25)
    assert Cusum(made, lambda: 0.2).observe(is_right=False)
    assert not Cusum(made, lambda: 0.3).observe(is_right=False)


def test_the_published_lengths_of_charts_of_normal_draws_come_out() -> None:
    for h, calm, shifted in ((4.0, 167.7, 8.38), (5.0, 465.4, 10.38)):
        alone = normal_arl(0.0, k=0.5, h=h, states=200)
        assert two_sided(alone, alone) == pytest.approx(calm, rel=1e-3)
        moved = two_sided(normal_arl(1.0, k=0.5, h=h, states=200), normal_arl(-1.0, k=0.5, h=h, states=200))
        assert moved == pytest.approx(shifted, rel=1e-3)


@pytest.mark.parametrize(
    ("accuracy", "drop", "every"),
    [(0.05, 0.05, 1e4), (1.0, 0.05, 1e4), (0.9, 0.0, 1e4), (0.9, -0.1, 1e4), (float("nan"), 0.05, 1e4), (0.9, 0.05, 5)],
)
def test_what_cannot_be_watched_is_refused(accuracy: float, drop: float, every: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be watched|too many"):
        chart(accuracy, drop=drop, false_alarm_every=every)
