"""Tests backends/replicas/peak_ewma.py."""

from math import exp

import pytest

from backends.replicas.peak_ewma import DECAY, UNKNOWN, PeakEwma


def test_a_peak_counts_at_once_and_is_forgotten_slowly() -> None:
    ewma = PeakEwma(0.0)
    ewma.observe(0.1, 0.0)
    ewma.observe(2.0, 1.0)
    assert ewma.cost(0, 1.0) == 2.0
    ewma.observe(0.1, 1.0 + DECAY)
    assert ewma.cost(0, 1.0 + DECAY) == pytest.approx(2.0 / exp(1) + 0.1 * (1 - 1 / exp(1)))


def test_silence_is_forgetting_so_that_the_slow_are_asked_again() -> None:
    ewma = PeakEwma(0.0)
    ewma.observe(4.0, 0.0)
    assert ewma.cost(0, 5 * DECAY) < 0.03


def test_the_cost_grows_with_the_calls_under_way() -> None:
    ewma = PeakEwma(0.0)
    ewma.observe(0.5, 0.0)
    assert ewma.cost(3, 0.0) == 4 * ewma.cost(0, 0.0)


def test_who_was_never_heard_is_asked_once_and_then_not_before_the_others() -> None:
    ewma = PeakEwma(0.0)
    assert ewma.cost(0, 1.0) == 0.0
    assert ewma.cost(1, 1.0) > UNKNOWN


def test_who_was_not_waited_for_counts_only_where_it_took_longer_than_is_usual() -> None:
    ewma = PeakEwma(0.0)
    ewma.observe(1.0, 0.0)
    ewma.at_least(0.2, 0.0)
    assert ewma.cost(0, 0.0) == 1.0
    ewma.at_least(3.0, 0.0)
    assert ewma.cost(0, 0.0) == 3.0


def test_a_clock_that_stands_still_does_no_harm() -> None:
    ewma = PeakEwma(5.0)
    ewma.observe(1.0, 4.0)
    ewma.observe(0.5, 4.0)
    assert ewma.cost(0, 4.0) == 1.0
