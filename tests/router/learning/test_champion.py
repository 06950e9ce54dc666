"""Tests router/learning/champion.py."""

import time

from classifier.base import Prompt, Score, Turn
from classifier.rules import RulesClassifier
from router.base import Decision, Policy, Request, Tier
from router.learning.champion import Champion, Contender
from router.policies.explicit import Explicit
from router.policies.threshold import Threshold

PROMPT = Prompt((Turn("user", "hello"),))
REQUEST = Request("r", "", "t", "/chat/completions", "auto", None, PROMPT, False, False, {}, False, 0.0, 1.0)  # noqa: FBT003 - a request has that many fields


class AlwaysHard(RulesClassifier):
    """Scores 1.0."""

    def score(self, prompt: Prompt) -> Score:
        return Score(1.0 if prompt.turns else 0.5, "hard@2")


def contender(version: str, classifier: RulesClassifier, policy: Policy) -> Contender:
    return Contender(version, classifier, policy)


def test_another_version_scores_and_decides_from_the_next_request_on() -> None:
    champion = Champion(contender("one", RulesClassifier(), Threshold(0.5, Tier.LARGE)))
    policy = champion.policy  # as the pipeline holds it
    before = policy.decide(REQUEST, champion.score(PROMPT))
    champion.install(contender("two", AlwaysHard(), Threshold(0.9, Tier.LARGE)))
    after = policy.decide(REQUEST, champion.score(PROMPT))
    assert (before.tier, before.threshold) == (Tier.MINI, 0.5)
    assert (after.tier, after.threshold) == (Tier.LARGE, 0.9)
    assert after.score == Score(1.0, "hard@2")
    assert champion.source == "hard@2"
    assert policy.version == Threshold(0.9, Tier.LARGE).version
    assert policy.threshold == 0.9
    assert policy.needs_score(REQUEST)
    assert champion.threshold == AlwaysHard().threshold
    assert champion.explain(PROMPT, top=3) == AlwaysHard().explain(PROMPT, top=3)


def test_passing_on_costs_next_to_nothing() -> None:
    """Measured as the least of many rounds, less the same call without the holder."""

    class Free(RulesClassifier):
        def score(self, prompt: Prompt) -> Score:
            return SCORE

    direct = Free()
    holder = Champion(contender("one", direct, Explicit(Tier.MINI)))
    decision = Decision(Tier.MINI, "fixed", None, None, "")
    assert decision.tier is Tier.MINI

    def cost(of: object) -> float:
        best = float("inf")
        for _ in range(50):
            begin = time.perf_counter()
            for _ in range(1_000):
                of.score(PROMPT)  # type: ignore[attr-defined]  # both are classifiers
            best = min(best, time.perf_counter() - begin)
        return best / 1_000

    assert cost(holder) - cost(direct) < 2e-7


SCORE = Score(0.5, "free@1")
