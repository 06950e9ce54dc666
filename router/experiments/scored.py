"""A policy -> the same one, for requests whose score must be known whatever the policy makes of it.

Which conversations are complex is said by a score that all arms log. A policy that sends everything to Large asks for
none, and its arm would have no complex conversation to compare.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from classifier.base import Score
from router.base import Decision, Request
from router.policies.wrapped import WrappedPolicy


@dataclass(frozen=True, slots=True)
class Scored(WrappedPolicy):
    """Another policy, with a score in each decision that can have one."""

    def needs_score(self, request: Request) -> bool:
        """Tell whether the caller left the choice to us."""
        return request.wanted is None

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        decision = self.policy.decide(request, score)
        return decision if decision.score is not None or score is None else replace(decision, score=score)
