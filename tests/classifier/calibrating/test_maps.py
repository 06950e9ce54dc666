"""Tests classifier/calibrating/maps.py."""

import math
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from classifier.calibrating.maps import LIMIT, Beta, Calibration, Isotonic, Map, Platt, logit_of

MAPS: tuple[Platt | Beta | Isotonic, ...] = (
    Platt(0.7, -0.4, (0.02, 0.001, 0.001, 0.03)),
    Beta(0.3, 1.4, 0.2, tuple((0.05 * np.eye(3)).ravel().tolist())),
    Isotonic((-2.0, 0.5, 3.0), (-1.5, -0.2, 1.0), (-1.9, -0.6, 0.5), (-1.1, 0.1, 1.6)),
)
ODD = (math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0, -0.0, 5e-324)


@pytest.mark.parametrize("found", MAPS, ids=lambda found: type(found).__name__)
class TestEachMap:
    """What all three keep to."""

    def test_it_rises_everywhere_a_float_can_tell(self, found: Map) -> None:
        chances = [found.probability(logit) for logit in np.linspace(-20, 20, 4001)]
        assert all(one < other for one, other in pairwise(chances))

    def test_it_never_falls_even_where_floats_run_out(self, found: Map) -> None:
        chances = [found.probability(logit) for logit in np.linspace(-60, 60, 4001)]
        assert all(one <= other for one, other in pairwise(chances))

    def test_all_at_once_is_one_by_one(self, found: Map) -> None:
        logits = np.array([*np.linspace(-50, 50, 999), *ODD])
        one_by_one = [found.probability(logit) for logit in logits.tolist()]
        assert found.probabilities(logits) == pytest.approx(one_by_one, abs=1e-12)

    def test_any_float_has_a_probability_and_an_interval_around_it(self, found: Map) -> None:
        for logit in (*ODD, -3.0, 0.1, 7.7):
            low, high = found.interval(logit)
            assert 0.0 <= low <= found.probability(logit) <= high <= 1.0

    def test_what_is_no_number_goes_to_large(self, found: Map) -> None:
        assert found.probability(math.nan) == found.probability(LIMIT)

    def test_it_survives_json_under_its_kind(self, found: Map) -> None:
        text = msgspec.json.encode(found)
        assert f'"kind":"{type(found).__name__.lower()}"'.encode() in text
        assert msgspec.json.decode(text, type=type(found)) == found


def test_the_interval_of_a_line_is_that_of_the_delta_method() -> None:
    low, high = MAPS[0].interval(2.0)
    reach = 1.6448536 * math.sqrt(0.02 * 4 + 2 * 0.001 * 2 + 0.03)
    assert logit_of(low) == pytest.approx(1.0 - reach)
    assert logit_of(high) == pytest.approx(1.0 + reach)


@pytest.mark.parametrize(
    "text",
    [
        '{"kind":"platt","slope":0.0,"offset":1.0}',
        '{"kind":"platt","slope":-1.0,"offset":1.0}',
        '{"kind":"beta","below":1.0,"above":0.0,"offset":1.0}',
        '{"kind":"beta","below":1.0,"above":1.0,"offset":1.0,"spread":[1.0]}',
        '{"kind":"isotonic","knots":[],"values":[],"low":[],"high":[]}',
        '{"kind":"isotonic","knots":[0.0,1.0],"values":[1.0,1.0],"low":[0.0,0.0],"high":[1.0,2.0]}',
        '{"kind":"isotonic","knots":[1.0,0.0],"values":[0.0,1.0],"low":[0.0,0.0],"high":[1.0,2.0]}',
        '{"kind":"isotonic","knots":[0.0,1.0],"values":[0.0,1.0],"low":[0.0],"high":[1.0,2.0]}',
        '{"kind":"platt","slope":null,"offset":1.0}',
        '{"kind":"magic"}',
    ],
)
def test_a_map_that_does_not_rise_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Platt | Beta | Isotonic)


def test_a_logit_turns_back_into_its_probability() -> None:
    for chance in (1e-12, 0.02, 0.5, 0.98):
        assert Platt(1.0, 0.0).probability(logit_of(chance)) == pytest.approx(chance, rel=1e-9)
    assert (logit_of(0.0), logit_of(1.0), logit_of(math.nan)) == (-LIMIT, LIMIT, LIMIT)


def test_a_tenant_gets_its_own_line_and_anybody_else_the_pool() -> None:
    found = Calibration(MAPS[0], {"shop": Platt(0.5, 1.0, (0.01, 0.0, 0.0, 0.04))})
    assert found.probability(2.0, "nobody") == found.probability(2.0) == MAPS[0].probability(2.0)
    assert logit_of(found.probability(2.0, "shop")) == pytest.approx(0.5 * 1.0 + 1.0)
    low, high = found.interval(2.0, "shop")
    pooled, own = 1.6448536 * math.sqrt(0.114) * 0.5, 1.6448536 * math.sqrt(0.01 + 0.04)
    assert logit_of(high) - 1.5 == pytest.approx(math.hypot(pooled, own))
    assert 1.5 - logit_of(low) == pytest.approx(math.hypot(pooled, own))
    assert found.interval(2.0, "nobody") == MAPS[0].interval(2.0)
