"""Score -> tier: Large from a threshold on.

What the caller asks for by name goes first; where no score could be given, the default tier answers.
"""

from dataclasses import dataclass, field

from classifier.base import Score
from router.base import Decision, Request, Tier
from router.policies.leaning import leant


@dataclass(frozen=True, slots=True)
class Threshold:
    """Send to Large what Mini is not enough for with at least this probability.

    Attributes:
        threshold: 0.0 to 1.0.
        default: where a request goes that has no score.
        version: "name@version".
    """

    threshold: float
    default: Tier
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Name this policy: another threshold is another one."""
        object.__setattr__(self, "version", f"threshold@{self.threshold:.6g}/{self.default}")

    def needs_score(self, request: Request) -> bool:
        """Tell whether the caller left the choice to us."""
        return request.wanted is None

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        if request.wanted is not None:
            return Decision(request.wanted, "asked", None, None, self.version)
        if score is None:
            return Decision(self.default, "default", None, None, self.version)
        threshold = leant(self.threshold, request.lean)
        tier = Tier.LARGE if score.value >= threshold else Tier.MINI
        return Decision(tier, "score", score, threshold, self.version)
