"""Tests backends/replicas/recent.py."""

from backends.replicas.recent import FEWEST, KEPT, Recent


def test_a_quantile_of_few_times_is_unknown() -> None:
    recent = Recent(0.95)
    for _ in range(FEWEST - 1):
        recent.observe(1.0)
    assert recent.value is None
    recent.observe(1.0)
    assert recent.value == 1.0


def test_it_is_that_of_the_last_times() -> None:
    recent = Recent(0.95)
    for at in range(KEPT + 100):
        recent.observe(float(at))
    assert recent.value == 100 + int(0.95 * (KEPT - 1))
