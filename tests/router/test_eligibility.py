"""Tests router/eligibility.py, alone and in the pipeline (router/routes.py, router/endpoints/wire.py)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import ConnectFailed
from backends.capabilities import Capabilities, EngineCapabilities
from router.base import BadRequest, Request, Tier
from router.eligibility import BOTH, Eligibility, token_bounds
from router.endpoints.wire import read_chat
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
PICTURE = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

ENGLISH = "The committee met on Tuesday and agreed that the bridge should be repaired before winter. " * 20
CHINESE = "委员会在星期二开会，一致认为这座桥应当在冬天之前修好。" * 20
CODE = "for (int i = 0; i < n; ++i) { total += prices[i] * amounts[i]; }\n" * 20


def asked(text: str = "hello", *, escaped: bool = False, **more: Any) -> Request:
    """Return a parsed request."""
    body = json.dumps(chat(text, **more), ensure_ascii=escaped).encode()
    return read_chat(body, {}, tenant="", received=0.0, timeout=1.0, keep_sampled=False)


def house_of(*, large: Mapping[str, object] | None = None, mini: Mapping[str, object] | None = None) -> Eligibility:
    """Return what judges over backends with these limits."""
    limits = {Tier.LARGE: large or {}, Tier.MINI: mini or {}}
    return Eligibility({tier: Capabilities.model_validate(each) for tier, each in limits.items()})


NEEDS = {
    "vision": (asked(messages=[{"role": "user", "content": PICTURE}]), "messages"),
    "audio": (asked(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]), "messages"),
    "files": (asked(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]), "messages"),
    "tools": (asked(tools=[TOOL]), "tools"),
    "json_object": (asked(response_format={"type": "json_object"}), "response_format"),
    "json_schema": (asked(response_format=SCHEMA), "response_format"),
    "logprobs": (asked(logprobs=True), "logprobs"),
    "several_choices": (asked(n=2), "n"),
}


@pytest.mark.parametrize("feature", NEEDS)
def test_what_only_one_tier_can_do_goes_to_that_tier(feature: str) -> None:
    request, param = NEEDS[feature]
    assert house_of().tiers(request) == BOTH
    assert house_of(mini={feature: False}).tiers(request) == (Tier.LARGE,)
    assert house_of(large={feature: False}).tiers(request) == (Tier.MINI,)
    with pytest.raises(BadRequest, match=f"large lacks {feature} and mini lacks {feature}") as refused:
        house_of(large={feature: False}, mini={feature: False}).tiers(request)
    assert (refused.value.code, refused.value.param) == ("unsupported_capability", param)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": []},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": {}}},
        {"response_format": "json_object"},
        {"logprobs": False},
        {"n": 1},
        {"modalities": ["text"]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "of tomorrow"}]}]},
    ],
)
def test_what_is_not_asked_for_is_not_needed(more: dict[str, Any]) -> None:
    incapable = Capabilities(vision=False, audio=False, files=False, tools=False, json_object=False, json_schema=False)
    request = asked(**more)
    assert Eligibility(dict.fromkeys(Tier, incapable)).tiers(request) == BOTH


def test_a_picture_and_tools_that_no_tier_has_together_are_refused_with_each_reason() -> None:
    request = asked(messages=[{"role": "user", "content": PICTURE}], tools=[TOOL])
    with pytest.raises(BadRequest, match="large lacks tools and mini lacks vision"):
        house_of(large={"tools": False}, mini={"vision": False}).tiers(request)


def test_a_long_conversation_goes_where_it_surely_fits() -> None:
    small = {"context_tokens": 1_000}
    assert house_of(mini=small).tiers(asked("hello")) == BOTH
    assert house_of(mini=small).tiers(asked(ENGLISH * 5)) == (Tier.LARGE,)
    assert house_of(mini=small, large={"context_tokens": 100_000}).tiers(asked(ENGLISH * 5)) == (Tier.LARGE,)


def test_the_limit_of_the_answer_counts_with_the_prompt() -> None:
    judge = house_of(mini={"context_tokens": 1_000}, large={"context_tokens": 8_000})
    assert judge.tiers(asked(max_tokens=900)) == BOTH
    assert judge.tiers(asked(max_tokens=1_000)) == (Tier.LARGE,)
    assert judge.tiers(asked(max_completion_tokens=1_000)) == (Tier.LARGE,)
    with pytest.raises(BadRequest, match="may take 9000") as refused:
        judge.tiers(asked(max_tokens=9_000))
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "max_tokens")


def test_a_backend_that_cuts_answers_is_refused_no_limit_but_one_that_no_answer_can_reach() -> None:
    cutting = EngineCapabilities(context_tokens=1_024)
    both = Eligibility(dict.fromkeys(Tier, cutting))
    assert both.tiers(asked(max_tokens=1_020)) == both.tiers(asked(max_tokens=1_024)) == BOTH
    with pytest.raises(BadRequest, match="may take 4096"):
        both.tiers(asked(max_tokens=4_096))
    roomy = {Tier.LARGE: Capabilities(context_tokens=8_000), Tier.MINI: cutting}
    assert Eligibility(roomy).tiers(asked(max_tokens=4_096)) == (Tier.LARGE,)


def test_what_may_fit_is_left_to_the_backend_and_what_cannot_is_refused() -> None:
    judge = house_of(mini={"context_tokens": 1_000}, large={"context_tokens": 1_000})
    assert judge.tiers(asked("word " * 800)) == BOTH  # 4 kB: 500 tokens or 1,300
    with pytest.raises(BadRequest, match="room for 1000 tokens") as refused:
        judge.tiers(asked("word " * 8_000))
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


def test_tools_and_schemas_take_room_too() -> None:
    tools = [{**TOOL, "function": {**TOOL["function"], "description": "about prices " * 1_000}}]  # type: ignore[dict-item]
    assert house_of(mini={"context_tokens": 2_000}).tiers(asked(tools=tools)) == (Tier.LARGE,)


def test_a_picture_takes_room_but_not_that_of_its_bytes() -> None:
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 50_000}}
    request = asked(messages=[{"role": "user", "content": [{"type": "text", "text": "what?"}, url]}])
    fewest, most = token_bounds(request)
    assert fewest < 20
    assert 1_500 <= most < 1_600
    assert house_of(mini={"context_tokens": 1_000}).tiers(request) == (Tier.LARGE,)
    assert house_of(mini={"context_tokens": 1_000}).tiers(NEEDS["vision"][0]) == (Tier.LARGE,)


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        (ENGLISH, len(ENGLISH) / 4.6),
        (CODE, len(CODE) / 2.6),
        (CHINESE, len(CHINESE) / 1.5),  # a vocabulary made for Chinese
        (CHINESE, len(CHINESE) * 1.3),  # one that was not
        ("0123456789" * 200, 2_000),
        ("🙂" * 500, 1_000),
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_likely_counts_of_tokens_lie_between_the_bounds(text: str, likely: float, escaped: bool) -> None:  # noqa: FBT001
    fewest, most = token_bounds(asked(text, escaped=escaped))
    assert fewest <= likely <= most
    assert most < 6 * likely


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=2_000))
def test_bounds_are_bounds_whatever_the_text(text: str) -> None:
    fewest, most = token_bounds(asked(text))
    assert 0 <= fewest <= most + 10


async def test_one_tier_that_can_serve_is_the_reason_and_nothing_is_scored(open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "threshold", "threshold": 1.0}, **_capable(mini={"vision": False})) as house:
        house.large.failures.append(ConnectFailed("refused"))
        failed = await house.client.post(CHAT, json=chat(messages=[{"role": "user", "content": PICTURE}]))
        answer = await house.client.post(CHAT, json=chat(messages=[{"role": "user", "content": PICTURE}]))
        route = await house.client.post("/v1/route", json=chat(messages=[{"role": "user", "content": PICTURE}]))
        assert not house.mini.calls  # it does not stand in for what it cannot do either
    assert failed.status_code == 503
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "capability")
    assert "x-tandem-score" not in answer.headers
    assert (route.json()["tier"], route.json()["reason"], route.json()["score"]) == ("large", "capability", None)


async def test_a_named_tier_that_cannot_serve_is_refused_and_never_moved(open_house: OpenHouse) -> None:
    async with open_house(**_capable(mini={"context_tokens": 1_000})) as house:
        answer = await house.client.post(CHAT, json=chat(model="mini", max_tokens=2_000))
        dry = await house.client.post("/v1/route", json=chat(model="mini", max_tokens=2_000))
        assert not house.large.calls
        assert not house.mini.calls
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert answer.json()["error"]["param"] == "max_tokens"
    assert dry.status_code == 400
    (row,) = house.rows()
    assert (row["outcome"], row["status"], row["reason"], row["tier"]) == ("failed", 400, "capability", "mini")
    assert row["cost"] == 0


async def test_a_fixed_tier_gives_way_where_it_cannot_serve(open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "explicit", "tier": "mini"}, **_capable(mini={"tools": False})) as house:
        answer = await house.client.post(CHAT, json=chat(tools=[TOOL]))
        plain = await house.client.post(CHAT, json=chat())
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "capability")
    assert (plain.headers["x-tandem-tier"], plain.headers["x-tandem-reason"]) == ("mini", "fixed")


def _capable(**limits: dict[str, object]) -> dict[str, object]:
    kind = "tests.router.scripted:CapableOptions"
    return {
        "backends": {
            tier: {
                "use": kind,
                "tier": tier,
                "model": tier,
                "price": f"desk-{tier}",
                "capabilities": limits.get(tier, {}),
            }
            for tier in ("large", "mini")
        }
    }
