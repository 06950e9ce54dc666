"""Tests router/endpoints/routing_headers.py."""

import pytest

from router.base import BadRequest, Tier
from router.endpoints.routing_headers import wanted_quality, wanted_tier


def test_a_tier_is_named_in_any_case_and_only_ours() -> None:
    assert wanted_tier({}) is None
    assert wanted_tier({b"x-tandem-tier": b" Large "}) is Tier.LARGE
    for other in (b"", b"embeddings", b"both", b"\xff"):
        with pytest.raises(BadRequest, match="x-tandem-tier must be large or mini"):
            wanted_tier({b"x-tandem-tier": other})


def test_a_quality_is_a_plain_number_from_0_to_1() -> None:
    assert wanted_quality({}) is None
    assert [wanted_quality({b"x-tandem-quality": sent}) for sent in (b"0", b".5", b" 0.98 ", b"1.0")] == [
        0,
        0.5,
        0.98,
        1,
    ]
    for other in (b"", b"1.1", b"-0", b"nan", b"1e-3", b"0.5.5", "٠".encode()):
        with pytest.raises(BadRequest, match="x-tandem-quality must be a number"):
            wanted_quality({b"x-tandem-quality": other})
