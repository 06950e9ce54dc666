"""What staying with the tier that holds the KV is worth, and what it may change.

router/policies/sticky.py, router/policies/wrapped.py
"""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cache.base import NOTHING_HELD, Holding
from classifier.base import Score
from router.base import Intent, Policy, Prefix, Price, Request, Tier
from router.endpoints.wire import read_chat
from router.gateway import open_gateway
from router.ledger.reading import iter_requests
from router.ledger.writer import LedgerWriter
from router.policies.cascade import Zones
from router.policies.explicit import Explicit
from router.policies.sticky import AFFINITY, MARGIN, Sticky, weighed
from router.policies.threshold import Threshold
from tests.router.conftest import config_of

LARGE = Price("l", "1", fresh_input=500_000, cached_input=50_000, output=1_500_000)  # 0.50, 0.05 and 1.50 a million
MINI = Price("m", "1", fresh_input=50_000, cached_input=5_000, output=150_000)
CHEAP_CACHE = Price("l", "1", fresh_input=500_000, cached_input=5_000, output=150_000)
ZONES = Zones(easy=0.1, hard=0.9, wrong=0.5, default=Tier.LARGE)
THRESHOLD = Threshold(0.5, Tier.MINI)
HELD = Holding(depth=2, replica="l:1", share=0.98, tokens=8_000, prompt_tokens=8_100)


def asked(
    *,
    model: str = "auto",
    answers: int = 1,
    large: Holding = HELD,
    mini: Holding = NOTHING_HELD,
    output: int = 50,
    max_tokens: int | None = None,
) -> Request:
    """Return a request in a conversation that has had so many answers, with what is known of its KV."""
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant")] * answers
    body: dict[str, object] = {"model": model, "messages": [*turns, {"role": "user", "content": "x"}]}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    request = read_chat(json.dumps(body).encode(), {}, tenant="acme", received=0.0, timeout=1.0, keep_sampled=False)
    return replace(request, prefix=Prefix("salt", None, large, mini, output))


def sticky(policy: Policy = ZONES, *, large: Price = LARGE, mini: Price = MINI) -> Sticky:
    return Sticky(policy, lambda: large, lambda: mini)


def scored(value: float) -> Score:
    return Score(value, "test@1")


def test_where_mini_would_be_verified_large_stays_if_its_cached_prefix_makes_it_cheaper() -> None:
    decision = sticky().decide(asked(), scored(0.8))
    assert (decision.tier, decision.reason, decision.verify) == (Tier.LARGE, AFFINITY, None)
    assert (decision.score, decision.threshold, decision.propensity) == (scored(0.8), 0.9, 1.0)
    assert decision.policy == f"{ZONES.version}+affinity"
    assert decision.stay_cost is not None
    assert decision.switch_cost is not None
    assert decision.stay_cost * MARGIN <= decision.switch_cost


def test_without_kv_on_large_the_same_request_is_tried_on_mini() -> None:
    request = asked(large=NOTHING_HELD)
    assert sticky().decide(request, scored(0.8)) == ZONES.decide(request, scored(0.8))


def test_it_leaves_for_mini_where_mini_holds_the_conversation_too() -> None:
    assert sticky().decide(asked(mini=HELD), scored(0.2)).tier is Tier.MINI


def test_a_conversation_that_goes_on_for_long_is_moved_once() -> None:
    found = [sticky().decide(asked(answers=answers), scored(0.8)).tier for answers in (1, 2, 10, 50)]
    assert found == [Tier.LARGE, Tier.LARGE, Tier.MINI, Tier.MINI]


def test_long_answers_are_dear_and_a_limit_on_them_counts() -> None:
    assert sticky().decide(asked(output=2_000), scored(0.8)).tier is Tier.MINI
    assert sticky().decide(asked(output=2_000, max_tokens=20), scored(0.8)).tier is Tier.LARGE


def test_prices_are_those_of_the_prefill_that_would_be_paid() -> None:
    prefix = asked().prefix
    stay, switch = weighed(prefix, large=LARGE, mini=MINI, escalates=0.0, ahead=0, output=50)
    assert stay == 8_000 * 50 + 100 * 500 + 50 * 1_500
    assert switch == 8_100 * 50 + 50 * 150
    both = replace(prefix, mini=replace(HELD, tokens=8_100))
    assert weighed(both, large=LARGE, mini=MINI, escalates=0.0, ahead=0, output=50)[1] == 8_100 * 5 + 50 * 150
    later = weighed(prefix, large=LARGE, mini=MINI, escalates=0.0, ahead=2, output=50)
    assert later[0] - stay == 2 * (8_100 * 50 + 50 * 500 + 50 * 1_500)
    assert later[1] - switch == 2 * (8_100 * 5 + 50 * 50 + 50 * 150)
    verified = weighed(prefix, large=LARGE, mini=MINI, escalates=0.5, ahead=0, output=50)
    assert verified == (stay, switch + stay // 2)


@pytest.mark.parametrize(
    ("answers", "score"), [(answers, score) for answers in (0, 1, 5) for score in (0.0, 0.3, 0.49)]
)
def test_unverified_mini_is_cheaper_at_the_shipped_prices(answers: int, score: float) -> None:
    decision = sticky(THRESHOLD).decide(asked(answers=answers), scored(score))
    assert (decision.tier, decision.reason) == (Tier.MINI, "score")
    assert decision.stay_cost is not None, "and the record says what was weighed"


def test_with_a_cheap_cache_large_stays_without_a_cascade_too() -> None:
    decision = sticky(THRESHOLD, large=CHEAP_CACHE).decide(asked(), scored(0.2))
    assert (decision.tier, decision.reason) == (Tier.LARGE, AFFINITY)


@pytest.mark.parametrize("score", [0.9, 0.91, 1.0])
def test_what_the_score_sends_to_large_goes_there_whoever_holds_its_kv(score: float) -> None:
    request = asked(large=NOTHING_HELD, mini=HELD)
    assert sticky().decide(request, scored(score)) == ZONES.decide(request, scored(score))


def test_what_no_score_decided_is_left_alone() -> None:
    free = Price("l", "1", fresh_input=0, cached_input=0, output=0)
    for policy in (Explicit(Tier.MINI), THRESHOLD):
        decision = sticky(policy, large=free).decide(asked(), None)
        assert (decision.tier, decision.stay_cost) == (Tier.MINI, None)
    decision = sticky(THRESHOLD, large=free).decide(asked(model="mini"), None)
    assert (decision.tier, decision.reason) == (Tier.MINI, "asked")


@pytest.mark.parametrize("unpriced", ["large", "mini"])
def test_without_both_prices_nothing_is_weighed(unpriced: str) -> None:
    priced = Sticky(ZONES, lambda: None if unpriced == "large" else LARGE, lambda: None if unpriced == "mini" else MINI)
    decision = priced.decide(asked(), scored(0.8))
    assert (decision.tier, decision.stay_cost) == (Tier.MINI, None)


def test_a_backend_that_never_told_of_cached_tokens_is_not_stayed_with() -> None:
    assert sticky().decide(asked(large=replace(HELD, tokens=0)), scored(0.8)).tier is Tier.MINI


prices = st.builds(Price, st.just("m"), st.just("1"), *[st.integers(0, 3_000_000)] * 3)
tokens = st.integers(0, 50_000)
holdings = st.builds(lambda cached, more: Holding(1, "r:1", 0.5, cached, cached + more), tokens, tokens)


@given(holdings, holdings, prices, prices, st.floats(0, 1), st.integers(0, 30), st.integers(0, 4_000))
def test_it_only_ever_moves_to_the_better_model_and_only_for_less(
    large: Holding, mini: Holding, dear: Price, cheap: Price, score: float, answers: int, output: int
) -> None:
    request = asked(answers=answers, large=large, mini=mini, output=output)
    for policy in (ZONES, THRESHOLD):
        inner = policy.decide(request, scored(score))
        made = sticky(policy, large=dear, mini=cheap).decide(request, scored(score))
        if made.tier is not inner.tier:
            assert (inner.tier, made.tier, made.reason) == (Tier.MINI, Tier.LARGE, AFFINITY)
        else:
            assert replace(made, stay_cost=None, switch_cost=None) == inner
        if made.stay_cost is not None and made.switch_cost is not None:  # the record alone says why
            assert (made.tier is Tier.LARGE) == (made.stay_cost * MARGIN <= made.switch_cost)


async def test_the_record_says_why_and_the_same_is_decided_again(tmp_path: Path) -> None:
    made = {"stay": asked(), "switch": asked(answers=50), "unknown": asked(large=NOTHING_HELD)}
    decisions = {name: sticky().decide(request, scored(0.8)) for name, request in made.items()}
    assert decisions == {name: sticky().decide(request, scored(0.8)) for name, request in made.items()}
    ledger = LedgerWriter(tmp_path / "ledger.db", loop=asyncio.get_running_loop())
    for name, decision in decisions.items():
        await ledger.open(Intent(name, "", "acme", "auto", stream=False, started=6.0, decision=decision))
    await ledger.aclose()
    rows = {row["id"]: row for row in iter_requests(tmp_path / "ledger.db")}
    assert (rows["unknown"]["stay_cost"], rows["unknown"]["switch_cost"]) == (None, None)
    for name in ("stay", "switch"):
        costs = (decisions[name].stay_cost, decisions[name].switch_cost)
        assert (rows[name]["stay_cost"], rows[name]["switch_cost"]) == costs
        is_cheaper = rows[name]["stay_cost"] * MARGIN <= rows[name]["switch_cost"]
        assert (rows[name]["tier"], rows[name]["reason"]) == (
            ("large", AFFINITY) if is_cheaper else ("mini", "between")
        )


def test_it_speaks_for_the_policy_within() -> None:
    assert (sticky().version, sticky().threshold) == (ZONES.version, ZONES.threshold)
    assert sticky().needs_score(asked())
    assert not sticky().needs_score(asked(model="mini"))


@pytest.mark.parametrize(
    ("policy", "is_sticky"),
    [
        ({"use": "threshold"}, False),  # Large's cached tokens cost as much as Mini's fresh ones
        ({"use": "threshold", "affinity": False}, False),
        ({"use": "cascade"}, True),
        ({"use": "cascade", "affinity": False}, False),
        ({"use": "explicit", "tier": "mini"}, False),
    ],
)
async def test_it_is_there_where_the_file_wants_it_and_it_can_save(
    tmp_path: Path, policy: dict[str, object], *, is_sticky: bool
) -> None:
    async with open_gateway(config_of(tmp_path, policy=policy)) as gateway:
        assert isinstance(gateway.pipeline.policy, Sticky) is is_sticky
