"""Score -> one of three zones: Mini, Large, and between them Mini first, verified.

What the caller asks for by name goes first; where no score could be given, the default tier answers. A request whose
replies cannot be verified, since it offers tools or wants several answers, knows two zones only: there, between is
hard.
"""

from dataclasses import dataclass, field

from classifier.base import Score
from router.base import Decision, Request, Tier
from router.policies.leaning import leant


@dataclass(frozen=True, slots=True)
class Zones:
    """Verify where it pays.

    Attributes:
        easy: below it Mini answers, unverified.
        hard: from it on Large answers.
        wrong: between the two, Large answers from this P(Mini's reply is wrong) on.
        default: where a request goes that has no score.
        version: "name@version".
    """

    easy: float
    hard: float
    wrong: float
    default: Tier
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Name this policy: other thresholds are another one."""
        parts = "/".join(f"{part:.6g}" for part in (self.easy, self.hard, self.wrong))
        object.__setattr__(self, "version", f"cascade@{parts}/{self.default}")

    @property
    def threshold(self) -> float:
        """Return the score from which Large is chosen without asking Mini."""
        return self.hard

    def needs_score(self, request: Request) -> bool:
        """Tell whether the caller left the choice to us."""
        return request.wanted is None

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        if request.wanted is not None:
            return Decision(request.wanted, "asked", None, None, self.version)
        if score is None:
            return Decision(self.default, "default", None, None, self.version)
        easy, hard = leant(self.easy, request.lean), leant(self.hard, request.lean)
        if score.value < easy:
            return Decision(Tier.MINI, "easy", score, hard, self.version)
        if score.value >= hard:
            return Decision(Tier.LARGE, "hard", score, hard, self.version)
        if not request.needs.is_verifiable:
            return Decision(Tier.LARGE, "hard", score, easy, self.version)
        return Decision(Tier.MINI, "between", score, hard, self.version, verify=self.wrong)
