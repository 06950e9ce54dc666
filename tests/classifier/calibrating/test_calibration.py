"""Tests classifier/calibrating/calibration.py."""

import numpy as np
import pytest

from classifier.calibrating.calibration import FLATTEST, fit_beta, fit_isotonic, fit_platt, fit_tenants
from classifier.calibrating.maps import Beta, Map, Reals


def rows(count: int, *, seed: int, slope: float = 0.6, offset: float = -0.8) -> tuple[Reals, np.ndarray]:
    """Return logits and labels that a straight line calibrates."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0.3, 2.0, count)
    return logits, chance.random(count) < 1 / (1 + np.exp(-slope * logits - offset))


def keys(count: int) -> list[str]:
    return [str(row) for row in range(count)]


def test_a_line_is_found_again() -> None:
    found = fit_platt(*rows(40_000, seed=1))
    assert (found.slope, found.offset) == pytest.approx((0.6, -0.8), abs=0.03)


def test_a_weight_of_two_is_a_row_twice() -> None:
    logits, target = rows(200, seed=2)
    twice = fit_platt(np.repeat(logits, 2), np.repeat(target, 2))
    weighed = fit_platt(logits, target, np.full(200, 2.0))
    assert (weighed.slope, weighed.offset) == pytest.approx((twice.slope, twice.offset), abs=1e-6)


def test_classes_that_a_limit_parts_stay_off_certainty() -> None:
    logits = np.linspace(-5, 5, 100)
    for fitted in (fit_platt(logits, logits > 0), fit_beta(logits, logits > 0)):
        assert 1e-6 < fitted.probability(-5.0) < 0.05
        assert 0.95 < fitted.probability(5.0) < 1 - 1e-6


def test_scores_that_say_the_opposite_keep_their_order_at_nearly_one_probability() -> None:
    logits, target = rows(2_000, seed=3, slope=-0.8, offset=0.0)
    line, bent = fit_platt(logits, target), fit_beta(logits, target)
    assert line.slope == FLATTEST
    assert (bent.below, bent.above) == (FLATTEST, FLATTEST)
    for fitted in (line, bent):
        assert fitted.probability(-2.0) < fitted.probability(2.0) < fitted.probability(-2.0) + 0.02
        assert fitted.probability(0.3) == pytest.approx(target.mean(), abs=0.02)


def test_two_slopes_are_found_again() -> None:
    chance = np.random.default_rng(4)
    logits = chance.normal(0.0, 2.5, 60_000)
    truth = Beta(0.3, 1.3, -0.4)
    found = fit_beta(logits, chance.random(60_000) < truth.probabilities(logits))
    assert (found.below, found.above, found.offset) == pytest.approx((0.3, 1.3, -0.4), abs=0.07)


def test_steps_are_followed_and_never_certain() -> None:
    chance = np.random.default_rng(5)
    logits = chance.uniform(-3, 3, 5_000)
    target = chance.random(5_000) < np.where(logits < -1, 0.0, np.where(logits < 1, 0.4, 1.0))
    found = fit_isotonic(logits, target, groups=keys(5_000), seed=0)
    assert 0.0 < found.probability(-2.5) < 0.02
    assert found.probability(0.0) == pytest.approx(0.4, abs=0.05)
    assert 0.98 < found.probability(2.5) < 1.0


def test_few_distinct_logits_and_one_alone_are_enough() -> None:
    chance = np.random.default_rng(6)
    for logits in (np.zeros(200), np.repeat([-1.0, 1.0], 100), np.repeat(np.arange(1_000.0), 2)):
        found = fit_isotonic(logits, chance.random(len(logits)) < 0.3, groups=keys(len(logits)), seed=0)
        assert 0.0 < found.probability(-50.0) < found.probability(50.0) < 1.0


@pytest.mark.parametrize("kind", ["platt", "beta", "isotonic"])
def test_nine_of_ten_intervals_hold_the_truth(kind: str) -> None:
    held = []
    for seed in range(20 if kind == "isotonic" else 60):
        logits, target = rows(1_500, seed=seed)
        fitted: Map
        if kind == "isotonic":
            fitted = fit_isotonic(logits, target, groups=keys(1_500), seed=seed, draws=60)
        else:
            fitted = (fit_platt if kind == "platt" else fit_beta)(logits, target)
        for logit in (-2.0, 0.0, 2.0):
            low, high = fitted.interval(logit)
            held.append(low <= 1 / (1 + np.exp(-0.6 * logit + 0.8)) <= high)
    assert 0.8 <= np.mean(held) <= 0.99


def test_rows_that_say_the_same_again_make_no_interval_narrower() -> None:
    logits, target = rows(400, seed=8)
    again, labels = np.tile(logits, 9), np.tile(target, 9)
    groups = keys(400) * 9

    def width(fitted: Map) -> float:
        low, high = fitted.interval(0.0)
        return high - low

    once, alone = width(fit_platt(logits, target, groups=keys(400))), width(fit_platt(again, labels))
    assert width(fit_platt(again, labels, groups=groups)) == pytest.approx(once, rel=0.05)
    assert alone < 0.4 * once
    steps = width(fit_isotonic(again, labels, groups=groups, seed=0))
    assert steps > 0.6 * width(fit_isotonic(logits, target, groups=keys(400), seed=0))


# --- tenants ---------------------------------------------------------------------------------------


def tenants_of(sizes: dict[str, tuple[int, float]], *, seed: int) -> tuple[Reals, np.ndarray, list[str]]:
    """Return pooled logits, labels and names; each tenant has so many rows and its own offset."""
    chance = np.random.default_rng(seed)
    names = [name for name, (count, _) in sizes.items() for _ in range(count)]
    logits = chance.normal(0.0, 1.5, len(names))
    offsets = np.array([sizes[name][1] for name in names])
    return logits, chance.random(len(names)) < 1 / (1 + np.exp(-logits - offsets)), names


def test_a_tenant_with_many_rows_is_itself_and_one_with_few_is_near_the_pool() -> None:
    sizes = {"much": (4_000, 1.5), "little": (8, 1.5), **{f"t{i}": (600, -0.3 + 0.1 * i) for i in range(6)}}
    found = fit_tenants(*tenants_of(sizes, seed=1))
    assert found["much"].offset == pytest.approx(1.5, abs=0.15)
    assert abs(found["little"].offset) < 0.9
    assert found["t0"].offset < 0 < found["t5"].offset
    low, high = found["little"].interval(0.0)
    assert high - low > 3 * (found["much"].interval(0.0)[1] - found["much"].interval(0.0)[0])


def test_partial_pooling_is_nearer_to_the_truth_than_all_or_nothing() -> None:
    chance = np.random.default_rng(2)
    truth = {f"t{i}": (60, float(chance.normal(0.0, 0.5))) for i in range(30)}
    logits, target, names = tenants_of(truth, seed=3)
    pooled = fit_tenants(logits, target, names)
    shares = np.array(names)
    errors: dict[str, list[float]] = {"partial": [], "pool": [], "own": []}
    for name, (_, offset) in truth.items():
        own = fit_platt(logits[shares == name], target[shares == name])
        errors["partial"].append((pooled[name].offset - offset) ** 2)
        errors["pool"].append(offset**2)
        errors["own"].append((own.offset - offset) ** 2)
    assert np.mean(errors["partial"]) < 0.9 * min(np.mean(errors["pool"]), np.mean(errors["own"]))


def test_tenants_that_are_alike_stay_together_and_one_alone_is_the_pool() -> None:
    logits, target, names = tenants_of({f"t{i}": (300, 0.0) for i in range(10)}, seed=4)
    found = fit_tenants(logits, target, names)
    assert max(abs(line.offset) for line in found.values()) < 0.25
    assert fit_tenants(logits, target, ["one"] * len(names)) == {}


def test_a_tenant_of_one_class_has_a_finite_line_that_rises() -> None:
    logits, target, names = tenants_of({"a": (200, 0.0), "b": (200, 0.2)}, seed=5)
    both = (np.append(logits, [0.1, 3.0, -3.0]), np.append(target, [False, False, True]), [*names, "c", "c", "c"])
    assert fit_tenants(*both)["c"].slope > 0
