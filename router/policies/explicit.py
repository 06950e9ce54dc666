"""Request -> the tier it names, or one fixed tier.

For gateways that route nothing by score: all-Large and all-Mini baselines, maintenance.
"""

from dataclasses import dataclass

from classifier.base import Score
from router.base import Decision, Request, Tier


@dataclass(frozen=True, slots=True)
class Explicit:
    """Send everything that names no tier to this one."""

    tier: Tier

    @property
    def version(self) -> str:
        """Return "name@version"."""
        return f"explicit@{self.tier}"

    @property
    def threshold(self) -> None:
        """Return None: no score decides."""
        return

    def needs_score(self, request: Request) -> bool:  # noqa: ARG002  (the protocol asks; the answer is always no)
        """Tell that no score is ever needed."""
        return False

    def decide(self, request: Request, score: Score | None) -> Decision:  # noqa: ARG002  (likewise)
        """Return the tier; see `router.base.Policy`."""
        if request.wanted is not None:
            return Decision(request.wanted, "asked", None, None, self.version)
        return Decision(self.tier, "fixed", None, None, self.version)
