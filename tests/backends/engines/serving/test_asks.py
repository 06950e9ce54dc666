"""Tests backends/engines/serving/asks.py."""

import json
from typing import Any

import msgspec
import pytest

from backends.engines.base import CHAT, TEXT, Ask, ContextExceeded, Refused, UnknownModel
from backends.engines.serving.asks import Offer, fit, read_ask
from tests.backends.engines.serving.scripted import ScriptedEngine

OFFER = Offer("desk", ("polite", "terse"), places=4)
MESSAGES = [{"role": "user", "content": "how do I cancel order 123?"}]


def ask_of(body: bytes | dict[str, Any], path: str = CHAT) -> Ask:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_ask(body, path, offer=OFFER, request_id="r1")


def chat(**fields: Any) -> Ask:
    return ask_of({"messages": MESSAGES, **fields})


def test_what_engines_read_alike_is_read_and_the_rest_travels_as_it_came() -> None:
    body = (
        b'{"model": "desk:terse", "messages": [{"role": "user", "content": "hi"}], "stream": true, "n": 2, "seed": 7,'
        b' "stream_options": {"include_usage": true}, "max_tokens": 9, "cache_salt": "shop", "stop": null,'
        b' "temperature": 0.50, "ignore_eos": true}'
    )
    ask = ask_of(body)
    assert (ask.path, ask.stream, ask.wants_usage, ask.choices, ask.max_tokens) == (CHAT, True, True, 2, 9)
    assert (ask.adapter, ask.salt, ask.request_id) == ("terse", "shop", "r1")
    assert {name: bytes(value) for name, value in ask.fields.items()} == {
        "model": b'"desk:terse"',
        "messages": b'[{"role": "user", "content": "hi"}]',
        "seed": b"7",
        "temperature": b"0.50",
        "ignore_eos": b"true",
    }


def test_what_is_left_out_or_null_is_nothing_special() -> None:
    for ask in (chat(), chat(n=None, stream=None, max_tokens=None, model=None, cache_salt=None, adapter=None)):
        assert (ask.stream, ask.wants_usage, ask.choices, ask.max_tokens) == (False, False, 1, None)
        assert (ask.adapter, ask.salt, list(ask.fields)) == ("", "", ["messages"])


def test_the_newer_name_of_max_tokens_counts_first() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_a_prompt_may_be_a_text_or_token_ids() -> None:
    for prompt in ("hi", [1, 3, 5]):
        for sent in (prompt, [prompt]):
            assert json.loads(bytes(ask_of({"prompt": sent}, TEXT).fields["prompt"])) == prompt


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"n": 0}, "n", "n is 0, but one request gets 1 to 4 answers"),
        ({"n": 10_000}, "n", "n is 10000, but one request gets 1 to 4 answers"),
        ({"n": 1.5}, "n", "expected `int | null`, got `float`"),
        ({"max_tokens": 0}, "max_tokens", ">= 1"),
        ({"max_tokens": True}, "max_tokens", "got `bool`"),
        ({"temperature": -0.1}, "temperature", ">= 0"),
        ({"temperature": "hot"}, "temperature", "got `str`"),
        ({"top_p": 1.1}, "top_p", "<= 1"),
        ({"top_k": 0.5}, "top_k", "got `float`"),
        ({"top_k": -2}, "top_k", ">= -1"),
        ({"presence_penalty": 3}, "presence_penalty", "<= 2"),
        ({"frequency_penalty": -3}, "frequency_penalty", ">= -2"),
        ({"repetition_penalty": 0}, "repetition_penalty", "> 0"),
        ({"stop": ["x"] * 17}, "stop", "length <= 16"),
        ({"stop": ""}, "stop", "length >= 1"),
        ({"seed": 1 << 64}, "seed", "seed is wrong"),
        ({"logprobs": 3}, "logprobs", "logprobs is true or false here"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "<= 20"),
        ({"top_logprobs": 2}, "top_logprobs", "top_logprobs wants logprobs to be true"),
        ({"messages": []}, "messages", "length >= 1"),
        ({"messages": None}, "messages", "the field messages is missing"),
        ({"messages": [{"content": "x"}]}, "messages[0]", "missing required field `role`"),
        ({"messages": [{"role": "guest", "content": "x"}]}, "messages[0].role", "invalid enum value 'guest'"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages", "a part without its text"),
        ({"stream_options": {"continuous_usage_stats": True}}, "stream_options", "unknown field"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options", "include_obfuscation is not done"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages",
            "a message holds 'image_url', but this model reads text alone",
        ),
        ({"best_of": 3}, "best_of", "best_of is not done here"),
        ({"echo": True}, "echo", "echo is not done here"),
        ({"adapter": "rude"}, "adapter", "the adapter 'rude' does not exist: there is polite, terse"),
        ({"model": "desk:terse", "adapter": "polite"}, "adapter", "the model asks for the adapter 'terse'"),
        ({"cache_salt": 7}, "cache_salt", "got `int`"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        chat(**fields)
    assert refusal.value.status == 400
    assert refusal.value.param == param
    assert words in str(refusal.value)


@pytest.mark.parametrize("model", ["other", "desk:rude", "desk:", "other:terse"])
def test_a_model_that_is_not_there_is_refused_with_those_that_are(model: str) -> None:
    with pytest.raises(UnknownModel, match=r"does not exist: use desk, desk:polite, desk:terse") as refusal:
        chat(model=model)
    assert (refusal.value.status, refusal.value.param) == (404, "model")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a JSON object"),
        (b"[]", "the body is wrong"),
        (b'{"messages": [', "not a JSON object"),
        (b'{"messages": "\xff"}', "not UTF-8: byte 14"),
        (b'{"a":' * 5000, "not a JSON object"),
        (b'{"temperature": NaN}', "not a JSON object"),
    ],
)
def test_a_body_that_is_none_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        ask_of(body)


def test_completions_have_probabilities_by_number_and_want_a_prompt() -> None:
    assert bytes(ask_of({"prompt": "hi", "logprobs": 2}, TEXT).fields["logprobs"]) == b"2"
    with pytest.raises(Refused, match="logprobs is a number here"):
        ask_of({"prompt": "hi", "logprobs": True}, TEXT)
    with pytest.raises(Refused, match="the field prompt is missing"):
        ask_of({"messages": MESSAGES}, TEXT)
    for several in (["two", "prompts"], [[1], [2]], [1, "two"]):
        with pytest.raises(Refused, match="prompt holds 2 prompts, but one request gets one here"):
            ask_of({"prompt": several}, TEXT)
    odd: tuple[list[Any], ...] = ([[]], [None], [-1], [[-1]], [1.5])
    for prompts in odd:
        with pytest.raises(Refused, match="prompt"):
            ask_of({"prompt": prompts}, TEXT)


async def test_an_answer_that_surely_fits_is_not_counted() -> None:
    engine = ScriptedEngine(context=100, tokens=10)
    ask = chat(max_tokens=20)
    assert await fit(ask, engine, size=80) is ask
    assert engine.counted == 0


async def test_an_answer_longer_than_the_room_is_cut() -> None:
    engine = ScriptedEngine(context=100, tokens=60)
    assert (await fit(chat(max_tokens=100), engine, size=300)).max_tokens == 40
    assert (await fit(chat(max_tokens=40), engine, size=300)).max_tokens == 40
    assert (await fit(chat(), engine, size=300)).max_tokens is None


async def test_what_cannot_fit_is_refused() -> None:
    engine = ScriptedEngine(context=100, tokens=100)
    with pytest.raises(ContextExceeded, match="max_tokens is 101, but prompt and answer have 100") as refusal:
        await fit(chat(max_tokens=101), engine, size=10)
    assert refusal.value.param == "max_tokens"
    with pytest.raises(ContextExceeded, match="the prompt has 100 tokens") as refusal:
        await fit(chat(), engine, size=300)
    assert (refusal.value.param, refusal.value.code) == ("messages", "context_length_exceeded")
    engine.tokens = 99
    assert (await fit(msgspec.structs.replace(chat(), max_tokens=50), engine, size=300)).max_tokens == 1


@pytest.mark.parametrize(
    "prompt",
    [
        {"messages": [{"role": "user", "content": "x" * 404}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 404}]}]},
        {"messages": [{"role": "user", "content": "\u00e9" * 202}]},
        {"messages": [{"role": "user", "content": ""}] * 100},
        {"prompt": "x" * 404},
        {"prompt": [7] * 100},
    ],
)
async def test_a_prompt_that_cannot_fit_is_refused_without_being_counted(prompt: dict[str, Any]) -> None:
    engine = ScriptedEngine(context=100, longest_token=4)
    ask = ask_of(prompt, CHAT if "messages" in prompt else TEXT)
    with pytest.raises(ContextExceeded, match=r"the prompt has 10\d tokens or more") as refusal:
        await fit(ask, engine, size=5000)
    assert refusal.value.param == next(iter(prompt))
    assert engine.counted == 0


async def test_a_prompt_that_may_fit_is_counted_however_large_its_body_is() -> None:
    engine = ScriptedEngine(context=100, longest_token=4)
    assert await fit(chat(messages=[{"role": "user", "content": "x" * 395}]), engine, size=5000)
    assert await fit(ask_of({"prompt": "x" * 396}, TEXT), engine, size=5000)
    assert engine.counted == 2
