"""Tests backends/engines/llama_server/asks.py: what goes on to llama.cpp, and what is refused."""

from typing import Any

import pytest
from msgspec import Raw

from backends.engines.base import Ask, Refused
from backends.engines.llama_server.asks import bodies_of
from tests.backends.engines.asking_engines import chat, completion

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def bodies(ask: Ask, *, adapters: tuple[str, ...] = (), has_tools: bool = True) -> list[dict[str, Any]]:
    places = {name: place for place, name in enumerate(adapters)}
    return bodies_of(ask, adapters=places, has_tools=has_tools, vocabulary=1024)


def test_fields_go_on_as_they_came() -> None:
    ask = chat(temperature=0.5, tools=[TOOL], response_format={"type": "json_object"}, user="\u00e4")
    (body,) = bodies(ask)
    assert body == {**ask.fields, "stream": True, "stream_options": {"include_usage": True}}
    assert all(isinstance(body[name], Raw) for name in ask.fields)


def test_what_was_taken_out_of_the_body_is_put_back() -> None:
    (body,) = bodies(chat(stream=True, max_tokens=7))
    assert (body["stream"], body["max_tokens"], body["stream_options"]) == (True, 7, {"include_usage": True})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id_slot", 0),
        ("cache_prompt", False),
        ("lora", []),
        ("n_cmpl", 2),
        ("speculative.n_max", 4),
        ("min_tokens", 3),
        ("stop_token_ids", [1]),
        ("length_penalty", 2.0),
        ("use_beam_search", True),
        ("guided_json", {}),
        ("functions", [{"name": "f"}]),
        ("modalities", ["audio"]),
        ("skip_special_tokens", False),
        ("reasoning_effort", "high"),
        ("max_new_tokens", 3),
        ("repeat_last_n", 2147483647),
        ("logit_bias", {"5": True}),
        ("logit_bias", {"5": 101}),
        ("logit_bias", {"-1": 5}),
        ("logit_bias", {"1024": 5}),
        ("logit_bias", {"9" * 5000: 5}),
        ("logit_bias", {"CANCEL": 5}),
        ("logit_bias", [[5, False]]),
        ("logit_bias", [[-1, 5]]),
        ("logit_bias", "x"),
        ("tool_choice", "required"),
        ("response_format", "x"),
        ("response_format", {}),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": True}}),
        ("grammar", ["root"]),
        ("grammar", 'root ::= "a"{5,2}'),
        ("tools", [{"type": "function", "function": {"parameters": {"minItems": 5, "maxItems": 2}}}]),
        ("ignore_eos", 5),
        ("typical_p", -5),
        ("chat_template_kwargs", 5),
    ],
)
def test_what_llama_cpp_would_drop_or_what_harms_others_is_refused(field: str, value: Any) -> None:
    with pytest.raises(Refused, match=field) as caught:
        bodies(chat(**{str(field): value}))
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_tokens", 0), ("stop_token_ids", []), ("length_penalty", 1.0), ("modalities", ["text"]), ("functions", [])],
)
def test_a_value_that_asks_for_nothing_passes(field: str, value: Any) -> None:
    assert bodies(chat(**{str(field): value}))


@pytest.mark.parametrize("prompt", ["", [1 << 40], [1024], [5, 1024]])
def test_a_prompt_of_nothing_or_of_tokens_that_are_none_is_refused(prompt: str | list[int]) -> None:
    with pytest.raises(Refused) as caught:
        bodies(completion(prompt))
    assert caught.value.param == "prompt"
    assert bodies(completion([0, 1023]))


def test_a_format_is_refused_where_llama_cpp_has_none() -> None:
    with pytest.raises(Refused, match="ask /chat/completions") as caught:
        bodies(completion("x", response_format={"type": "json_object"}))
    assert caught.value.param == "response_format"
    assert bodies(completion("x", response_format={"type": "text"}))


def test_tools_are_refused_where_the_template_has_no_place_for_them() -> None:
    with pytest.raises(Refused, match="chat template") as caught:
        bodies(chat(tools=[TOOL]), has_tools=False)
    assert caught.value.param == "tools"
    assert bodies(chat(tools=[TOOL], tool_choice="none"), has_tools=False)
    assert bodies(chat(tools=[]), has_tools=False)


def test_a_choice_of_one_tool_is_refused_since_llama_cpp_takes_it_for_any() -> None:
    with pytest.raises(Refused, match="send that tool alone") as caught:
        bodies(chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}))
    assert caught.value.param == "tool_choice"
    assert bodies(chat(tools=[TOOL], tool_choice="required"))


def test_a_repetition_penalty_gets_the_name_that_llama_cpp_knows() -> None:
    (body,) = bodies(chat(repetition_penalty=1.5))
    assert body["repeat_penalty"] == Raw(b"1.5")
    assert "repetition_penalty" not in body


def test_each_adapter_is_always_named_that_of_the_ask_alone_with_its_weight() -> None:
    (body,) = bodies(chat(adapter="b"), adapters=("a", "b"))
    assert body["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]
    (body,) = bodies(chat(), adapters=("a", "b"))
    assert body["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]
    assert "lora" not in bodies(chat())[0]


def test_each_choice_is_a_request_of_its_own_with_a_seed_of_its_own() -> None:
    assert [body["seed"] for body in bodies(chat(choices=3, seed=7))] == [7, 8, 9]
    assert len(bodies(chat(choices=2))) == 2
    assert "seed" not in bodies(chat(choices=2))[0]


@pytest.mark.parametrize("seed", [-1, (1 << 32) - 1, (1 << 32) - 2, -(1 << 63), (1 << 63) - 1])
def test_no_seed_becomes_the_one_that_llama_cpp_takes_for_none(seed: int) -> None:
    told = [body["seed"] for body in bodies(chat(choices=2, seed=seed))] + [bodies(chat(seed=seed))[0]["seed"]]
    assert all(0 <= each < (1 << 32) - 1 for each in told)
    assert told[0] != told[1]
    assert told[0] == told[2]


@pytest.mark.parametrize("fields", [{"logprobs": True}, {"logprobs": True, "top_logprobs": 0}])
def test_probabilities_without_others_beside_them_are_asked_for_with_one(fields: dict[str, Any]) -> None:
    assert bodies(chat(**fields))[0]["top_logprobs"] == 1
    assert bodies(completion("x", logprobs=0))[0]["logprobs"] == 1
    assert bodies(chat(logprobs=True, top_logprobs=3))[0]["top_logprobs"] == Raw(b"3")
    assert "top_logprobs" not in bodies(chat(logprobs=False))[0]
