"""Tiers and what their replies were worth -> what a decision lost.

One scale for quality and money: what a reply of Mini lacks beside Large's counts in full, and a call to Large that
was not needed counts as much quality as its price is held to be worth.
"""

from router.base import Price, Tier


def shortfall(strong_score: float, weak_score: float) -> float:
    """Return what Mini's reply lacks beside Large's, 0.0 to 1.0."""
    return max(0.0, strong_score - weak_score)


def loss(tier: Tier, *, strong_score: float, weak_score: float, large_cost: float) -> float:
    """Return what sending a request to this tier lost, 0.0 to 1.0.

    Args:
        large_cost: of a needless call to Large; see `large_cost`.
    """
    lacking = shortfall(strong_score, weak_score)
    if tier is Tier.MINI:
        return lacking
    return 0.0 if lacking else large_cost


def large_cost(cost_weight: float, *, large: Price | None, mini: Price | None) -> float:
    """Return what a needless call to Large costs, in quality.

    It is the part of Large's price that Mini would have saved, by the price of a token of output, times the weight.
    Where a price is unknown, all of it counts as saved.

    Args:
        cost_weight: quality that a whole Large reply is held to be worth, 0.0 to 1.0.
    """
    if large is None or mini is None or not large.output:
        return cost_weight
    return cost_weight * max(0.0, 1.0 - mini.output / large.output)
