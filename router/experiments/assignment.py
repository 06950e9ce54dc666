"""A unit -> its arm, always the same one; pure, and on the way of every request.

    u = SHA-256(salt|experiment|unit)[:8] / 2^64

Arms lie side by side on the line from 0 to 1, each as long as its weight. Of each, the first part takes part, as much
as the ramp says: so a wider ramp takes more units in, and moves none that is in from its arm. Where weights move, each
epoch draws anew, so that a unit's arm depends on nothing that it has done before.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from router.base import Decision, Request

_LINE: Final = 1 << 64


class Assigner:
    """The line of one experiment.

    Args:
        salt: minted when the experiment began.
        experiment: its id, with the epoch's number where weights move.
        weights: in the arms' order; they sum to exactly 1.
        ramp: share of all units that takes part, above 0 to 1.
    """

    __slots__ = ("_begun", "_edges", "_ends")

    def __init__(self, salt: str, experiment: str, weights: Sequence[Decimal], ramp: Decimal) -> None:
        self._begun = sha256(f"{salt}|{experiment}|".encode())
        edges = [int(edge * _LINE) for edge in accumulate(weights)]
        starts = [0, *edges[:-1]]
        self._edges = edges[:-1]
        self._ends = [start + int((edge - start) * ramp) for start, edge in zip(starts, edges, strict=True)]

    def place(self, unit: str) -> int:
        """Return a unit's place on the line, 0 to 2^64 exclusive."""
        digest = self._begun.copy()
        digest.update(unit.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest()[:8], "big")

    def arm(self, unit: str) -> int:
        """Return the number of a unit's arm; -1 where it takes no part."""
        place = self.place(unit)
        arm = bisect_right(self._edges, place)
        return arm if place < self._ends[arm] else -1


def assigned(request: Request, decision: Decision) -> Decision:
    """Return a decision with the arm that its request was assigned to; the record of it is the exposure."""
    to = request.assignment
    if not to.experiment:
        return decision
    return replace(decision, experiment=to.experiment, arm=to.arm, propensity=to.propensity)
