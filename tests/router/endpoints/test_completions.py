"""Tests router/endpoints/completions.py, through a whole gateway."""

from typing import Any

import httpx2
import pytest

from backends.base import ConnectFailed
from tests.router.conftest import House, OpenHouse, Served

URL = "/v1/completions"
PROMPT = "Once upon a time"
USAGE = b'{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14}'
WHOLE = (
    b'{"id":"cmpl-1","object":"text_completion","created":1,"model":"up","choices":[{"index":0,"text":" there",'
    b'"logprobs":null,"finish_reason":"stop"}],"usage":' + USAGE + b"}"
)
_HEAD = b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"up","choices":['
EVENTS = (
    _HEAD + b'{"index":0,"text":" the","logprobs":null,"finish_reason":null}]}\n\n',
    _HEAD + b'{"index":0,"text":"re","logprobs":null,"finish_reason":"stop"}]}\n\n',
    _HEAD + b'],"usage":' + USAGE + b"}\n\n",
    b"data: [DONE]\n\n",
)
COMMON = {"model": "auto", "prompt": PROMPT}


def play(house: House) -> None:
    for script in (house.large, house.mini):
        script.completion, script.events = WHOLE, EVENTS


async def post(house: House, **more: object) -> httpx2.Response:
    return await house.client.post(URL, json={**COMMON, **more})


async def test_every_field_goes_to_the_backend_as_it_came(open_house: OpenHouse) -> None:
    more: dict[str, Any] = {
        "best_of": 1, "echo": True, "frequency_penalty": -2, "logit_bias": {"50256": -100}, "logprobs": 0,
        "max_tokens": 16, "n": 1, "presence_penalty": -2, "seed": 0, "stop": "\n", "suffix": "test.",
        "temperature": 1, "top_p": 1, "user": "u", "guided_regex": "[a-z]+", "novelty": {"a": [1.50]},
    }  # fmt: skip
    async with open_house() as house:
        play(house)
        answer = await post(house, model="mini", **more)
        (call,) = house.mini.calls
        assert call.path == "/completions"
        assert house.mini.body() == {"model": "small", "prompt": PROMPT, **more}
    assert (answer.status_code, answer.content) == (200, WHOLE)
    (row,) = house.rows()
    assert (row["outcome"], row["tier"], row["reason"]) == ("answered", "mini", "asked")
    assert row["cost"] is not None


async def test_a_prompt_is_scored_and_the_other_tier_stands_in(open_house: OpenHouse) -> None:
    async with open_house() as house:
        play(house)
        answer = await post(house)
        assert answer.headers["x-tandem-reason"] == "score"
        house.mini.failures = [ConnectFailed("away")]
        other = await post(house)
        assert (other.status_code, other.headers["x-tandem-tier"]) == (200, "large")


@pytest.mark.parametrize("include", [True, False])
async def test_a_stream_ends_whole_and_shows_usage_to_who_asked(open_house: OpenHouse, include: bool) -> None:  # noqa: FBT001
    options = {"stream_options": {"include_usage": True}} if include else {}
    async with open_house() as house:
        play(house)
        answer = await post(house, model="mini", stream=True, **options)
        assert house.mini.body()["stream_options"] == {"include_usage": True}
    events = list(EVENTS) if include else [*EVENTS[:2], EVENTS[3]]
    assert answer.content == b"".join(events)
    (row,) = house.rows()
    assert (row["outcome"], row["cost"] is not None) == ("answered", True)


async def test_a_stream_that_breaks_never_ends_like_a_whole_one(serve_house: Served) -> None:
    async with serve_house() as house:
        play(house)
        house.mini.events = EVENTS[:1]
        with pytest.raises(httpx2.RemoteProtocolError):
            await post(house, model="mini", stream=True)
    (row,) = house.rows()
    assert row["outcome"] == "broken"


async def test_an_equal_prompt_is_answered_from_the_cache_and_never_as_chat(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}) as house:
        play(house)
        answers = [await post(house, model="mini", temperature=0) for _ in range(2)]
        several = [await post(house, model="mini", temperature=0, prompt=[PROMPT, PROMPT]) for _ in range(2)]
        asked = {"model": "mini", "temperature": 0, "messages": [{"role": "user", "content": PROMPT}]}
        chat = await house.client.post("/v1/chat/completions", json=asked)
    assert [answer.headers["x-tandem-cache"] for answer in answers] == ["miss", "hit"]
    assert answers[0].content == answers[1].content
    assert {answer.headers["x-tandem-cache"] for answer in [*several, chat]} == {"miss"}


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2, 3], [[1, 2], [3]], "", None, ["x"] * 2_048])
async def test_prompts_of_every_form_reach_the_backend(open_house: OpenHouse, prompt: object) -> None:
    async with open_house() as house:
        play(house)
        assert (await post(house, model="large", prompt=prompt)).status_code == 200
        assert house.large.body()["prompt"] == prompt


async def test_no_prompt_at_all_is_the_backend_s_affair(open_house: OpenHouse) -> None:
    async with open_house() as house:
        play(house)
        answer = await house.client.post(URL, json={"model": "auto"})
        assert (answer.status_code, answer.headers["x-tandem-reason"]) == (200, "default")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": {}}, "invalid_type", "prompt"),
        ({"prompt": [None]}, "invalid_type", "prompt[0]"),
        ({"prompt": [-1]}, "invalid_value", "prompt[0]"),
        ({"prompt": ["x"] * 2_049}, "invalid_value", "prompt"),
        ({"prompt": [1, 2]}, "tokens_without_model", "prompt"),
        ({"prompt": ["a", [1]]}, "tokens_without_model", "prompt"),
        ({"n": 0}, "invalid_value", "n"),
        ({"temperature": 3}, "invalid_value", "temperature"),
        ({"max_tokens": -1}, "invalid_value", "max_tokens"),
        ({"model": "gpt-3.5-turbo-instruct"}, "model_not_found", "model"),
        ({"cache_salt": "x"}, "parameter_not_allowed", "cache_salt"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_completed_is_refused_and_not_recorded(
    open_house: OpenHouse, body: dict[str, object], code: str, param: str
) -> None:
    async with open_house() as house:
        answer = await post(house, **body)
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert answer.status_code in (400, 404)
        assert not house.large.calls
        assert not house.mini.calls
    assert house.rows() == []


async def test_a_prompt_that_fits_nowhere_is_refused_by_its_own_name(open_house: OpenHouse) -> None:
    kind = "tests.router.scripted:CapableOptions"
    tiers = {
        tier: {
            "use": kind, "tier": tier, "model": tier, "price": f"desk-{tier}", "capabilities": {"context_tokens": 100},
        }
        for tier in ("large", "mini")
    }  # fmt: skip
    async with open_house(backends=tiers) as house:
        answer = await post(house, prompt="word " * 1_000)
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
        several = await post(house, prompt="hi", max_tokens=200)
        assert several.json()["error"]["param"] == "max_tokens"


async def test_a_text_is_never_sent_to_be_verified(open_house: OpenHouse) -> None:
    cascade = {"use": "cascade", "easy": 0.0, "hard": 1.0}
    async with open_house(policy=cascade) as house:
        play(house)
        answer = await post(house)
        assert answer.headers["x-tandem-reason"] == "hard"
        assert not house.mini.calls


async def test_shadow_calls_compare_what_texts_say(open_house: OpenHouse) -> None:
    async with open_house(learning={"shadow": 1.0, "shadow_large": 1.0}) as house:
        play(house)
        house.large.completion = WHOLE.replace(b" there", b" 12")
        answer = await post(house)
        assert answer.status_code == 200
        metrics = ""
        while "tandem_shadow_calls_total" not in metrics:
            metrics = (await house.client.get("/metrics")).text
        assert 'tandem_shadow_calls_total{result="failed"}' not in metrics
