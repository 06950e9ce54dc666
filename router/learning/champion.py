"""A classifier and its policy, both exchangeable while requests are decided.

The pipeline is frozen; these two stand in it and pass each call on to whoever serves now. They are exchanged between
two steps of the loop, so that a request is scored and decided by one version. Knows nothing of who is better.
"""

from collections.abc import Callable
from dataclasses import dataclass

from classifier.base import Classifier, Contribution, Prompt, Score
from router.base import Decision, Policy, Request


@dataclass(frozen=True, slots=True)
class Contender:
    """One version's classifier, with the policy that decides by its scores."""

    version: str
    classifier: Classifier
    policy: Policy


class Champion:
    """The classifier that serves.

    Attributes:
        score: of whoever serves; bound once, so that passing it on costs nothing for each request.
        source: "name@version" of it.
        policy: the policy beside it, exchanged with it.
    """

    __slots__ = ("contender", "policy", "score", "source")

    score: Callable[[Prompt], Score]

    def __init__(self, contender: Contender) -> None:
        self.policy = ChampionPolicy(contender.policy)
        self.install(contender)

    def install(self, contender: Contender) -> None:
        """Let another version serve from the next request on."""
        self.contender = contender
        self.source = contender.classifier.score(Prompt(())).source
        self.score = contender.classifier.score
        self.policy.install(contender.policy)

    @property
    def threshold(self) -> float:
        """Return what the weights suggest."""
        return self.contender.classifier.threshold

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the features that moved the score most."""
        return self.contender.classifier.explain(prompt, top=top)


class ChampionPolicy:
    """The policy that decides by the champion's scores; see `router.base.Policy`.

    It promises nothing: a certified policy belongs to one version's scores, and refuses a registry.
    """

    __slots__ = ("current", "decide", "needs_score")

    decide: Callable[[Request, Score | None], Decision]
    needs_score: Callable[[Request], bool]

    def __init__(self, policy: Policy) -> None:
        self.install(policy)

    def install(self, policy: Policy) -> None:
        """Let another policy decide from the next request on."""
        self.current = policy
        self.needs_score, self.decide = policy.needs_score, policy.decide

    @property
    def version(self) -> str:
        """Return the name of the policy as it is now."""
        return self.current.version

    @property
    def threshold(self) -> float | None:
        """Return the score from which Large is chosen."""
        return self.current.threshold
