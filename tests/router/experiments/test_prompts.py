"""Tests router/experiments/prompts.py and router/experiments/scored.py."""

import msgspec
from msgspec import Raw

from classifier.base import Score
from router.base import Tier
from router.experiments.definition import Prompt
from router.experiments.prompts import rewriting
from router.experiments.scored import Scored
from router.policies.explicit import Explicit
from tests.router.experiments.requests import request_of


def told(messages: list[object], **prompt: str) -> list[object]:
    rewrite = rewriting(Prompt(**prompt))
    assert rewrite is not None
    fields = rewrite({"model": Raw(b'"auto"'), "messages": Raw(msgspec.json.encode(messages))})
    assert bytes(fields["model"]) == b'"auto"'
    found: list[object] = msgspec.json.decode(fields["messages"])
    return found


def test_a_system_prompt_gets_the_arms_words_around_its_own() -> None:
    found = told([{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}], prefix="A", suffix="Z")
    assert found == [{"role": "system", "content": "A\n\nbe kind\n\nZ"}, {"role": "user", "content": "hi"}]


def test_parts_of_a_prompt_stay_parts() -> None:
    part = {"type": "text", "text": "be kind"}
    (found,) = told([{"role": "developer", "content": [part], "name": "x"}], suffix="Z")
    assert found == {"role": "developer", "content": [part, {"type": "text", "text": "Z"}], "name": "x"}


def test_a_request_without_a_system_prompt_gets_one() -> None:
    user = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    assert told([user], prefix="A", suffix="Z") == [{"role": "system", "content": "A\n\nZ"}, user]


def test_nothing_to_add_rewrites_nothing() -> None:
    assert rewriting(None) is None
    assert rewriting(Prompt()) is None
    rewrite = rewriting(Prompt(prefix="A"))
    assert rewrite is not None
    assert rewrite({"input": Raw(b'"x"')}) == {"input": Raw(b'"x"')}


def test_a_policy_that_asks_for_no_score_logs_one_all_the_same() -> None:
    policy = Scored(Explicit(Tier.LARGE))
    assert policy.needs_score(request_of())
    decision = policy.decide(request_of(), Score(0.7, "rules@1"))
    assert (decision.tier, decision.reason, decision.policy) == (Tier.LARGE, "fixed", "explicit@large")
    assert decision.score == Score(0.7, "rules@1")
    assert not policy.needs_score(request_of(wanted=Tier.MINI))
