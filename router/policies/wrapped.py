"""A policy around a policy, which is the other one in all but what it decides: for those that change some decisions."""

from dataclasses import dataclass

from router.base import Policy, Request


@dataclass(frozen=True, slots=True)
class WrappedPolicy:
    """Another policy; whoever wraps it gives `decide`.

    Attributes:
        policy: the other one.
    """

    policy: Policy

    @property
    def version(self) -> str:
        """Return that of the other policy; a decision that was changed says so behind it."""
        return self.policy.version

    @property
    def threshold(self) -> float | None:
        """Return the score from which the other policy chooses Large."""
        return self.policy.threshold

    def needs_score(self, request: Request) -> bool:
        """Tell whether a score could change where this request goes."""
        return self.policy.needs_score(request)
