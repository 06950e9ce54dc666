"""What a tenant has spent of its budget -> the shadow price of its money, which makes it last to the window's end.

The plan is to spend evenly over the window. The price is lambda = [eta x the sum of (cost - planned rate x time)]+: it
rises with what is spent ahead of the plan, falls while less is spent, and settles where spending and plan meet. Money
that a quiet time has left over is there for a busy one. What may be spent ahead of the plan shrinks from `WIDTH` of the
budget to `END`, so that eta grows and nothing is lacking at the end; the plan itself leaves as much at the end as the
price may then still take, and so no request of the last moments is refused that could have been answered by Mini.

The price depends on the sum that is spent and on the time, and on nothing else: a restart changes nothing, since the
sum comes out of the ledger, and workers that share their limits find the same price.

Source: Balseiro, Lu and Mirrokni 2023, "The Best of Many Worlds: Dual Mirror Descent for Online Allocation Problems",
for prices that follow spending; Nesterov 2009, "Primal-dual subgradient methods for convex problems", for the form in
which the sum of all steps is kept and cut off at 0.
"""

from math import isfinite
from typing import Final

from router.guards.limits.base import Use

WIDTH: Final = 0.1
"""The share of a budget that is spent ahead of the plan where the price is 1, as a window begins."""

END: Final = 0.01
"""The same as it ends."""


def price_of(use: Use, now: float, *, most: float) -> float:
    """Return the price of a tenant's money; 0.0 where its budget has no end, or it has none.

    Args:
        use: what it has used in the present window.
        now: by `time.monotonic`, as windows are told.
        most: where the price ends.
    """
    budget, length = use.whole.budget, use.ends - use.begins
    if not budget or not isfinite(length):
        return 0.0
    passed = min(max((now - use.begins) / length, 0.0), 1.0)
    ahead = (use.spent + use.elsewhere) / budget - (1.0 - most * END) * passed
    return min(max(ahead / (WIDTH * (1.0 - passed) + END), 0.0), most)
