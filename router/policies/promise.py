"""What a policy does beside deciding where it has promised something: it watches what is carried out, and narrows.

Whoever chooses the policy hands its promise over with it; nobody asks a policy whether it has one.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from router.base import Decision, Policy, Request


class Promise(Protocol):
    """The side of a policy that keeps its promise."""

    def curve(self, request: Request, quality: float) -> Sequence[float]:
        """Return the thresholds from the request's own down to a quality; see `router.policies.paced.Curve`."""
        ...

    def note(self, request: Request, decision: Decision) -> None:
        """Take a decision that is carried out."""
        ...

    def observe_loss(self, score: float, loss: float) -> None:
        """Take what a sampled request of Mini's lost; see `router.policies.certified.Certified`."""
        ...


class Chosen(NamedTuple):
    """The policy that was chosen, with its promise; None where it makes none."""

    policy: Policy
    promise: Promise | None = None
