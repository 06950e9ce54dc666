"""Tests router/statistics/skewness.py."""

import numpy as np
import pytest

from router.statistics.skewness import bent


def test_what_is_not_skewed_stays() -> None:
    assert float(bent(1.96, 0.0)) == 1.96
    assert float(bent(-1.96, 1e-9)) == -1.96


@pytest.mark.parametrize("skewness", [0.05, 0.3, 1.0, -0.4])
def test_bending_undoes_the_cubic_that_makes_a_skewed_sum_normal(skewness: float) -> None:
    z = np.array([-3.0, -1.96, 0.0, 1.96, 3.0])
    t = bent(z, skewness)
    assert t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6 == pytest.approx(z)


def test_where_the_tail_is_long_above_the_interval_reaches_farther_above() -> None:
    assert -float(bent(-1.96, 0.3)) > 1.96 > float(bent(1.96, 0.3))
    assert float(bent(1.96, -0.3)) == pytest.approx(-float(bent(-1.96, 0.3)))
