"""Tests of `backends/engines/torch_engine/wanted.py`."""

from typing import Any

import pytest

pytest.importorskip("torch")

from backends.engines.base import Ask, ContextExceeded, Refused
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.sampling import Sampling
from backends.engines.torch_engine.wanted import Wanted, read_wanted
from tests.backends.engines.torch_engine.conftest import ask_for

TEXT = "/completions"


@pytest.fixture
def read(models: dict[str, Loaded]) -> Any:
    def wanted(ask: Ask, *, context: int = 1024) -> Wanted:
        return read_wanted(ask, models["mistral"].tokenizer, context=context)

    return wanted


def test_nothing_said_is_the_likeliest_token_and_no_stop(read: Any) -> None:
    wanted = read(ask_for(max_tokens=None))
    assert wanted.sampling == Sampling()
    assert wanted.sampling.plain
    assert (wanted.stops, wanted.ignores_end, wanted.begins) == ((), False, True)
    assert wanted.limit == 1024 - len(wanted.prompt)


def test_every_setting_is_read(read: Any) -> None:
    wanted = read(
        ask_for(
            temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, presence_penalty=1, frequency_penalty=-1, seed=3,
            repetition_penalty=1.2, logit_bias={"5": -100}, stop=["a", "b"], logprobs=True, top_logprobs=4,
        )
    )  # fmt: skip
    assert wanted.sampling == Sampling(
        temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, presence=1, frequency=-1, seed=3,
        repetition=1.2, bias=((5, -100.0),), logprobs=4,
    )  # fmt: skip
    assert wanted.stops == ("a", "b")


def test_a_prompt_is_a_text_or_its_tokens(read: Any, models: dict[str, Loaded]) -> None:
    text = read(ask_for(path=TEXT, prompt="the answer", stop="x", logprobs=3))
    assert text.prompt == models["mistral"].tokenizer.prompt("the answer")
    assert (text.begins, text.stops, text.sampling.logprobs) == (False, ("x",), 3)
    assert read(ask_for(path=TEXT, prompt=[5, 6, 7])).prompt == [5, 6, 7]


def test_what_asks_for_nothing_is_no_obstacle(read: Any) -> None:
    neutral: dict[str, Any] = {
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "best_of": 1,
        "echo": False,
    }
    assert read(ask_for(user="u", metadata={"a": "b"}, guided_json=None, logit_bias={}, top_k=-1, **neutral))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"guided_regex": "a"}, "guided_regex"),
        ({"grammar": "a"}, "grammar"),
        ({"best_of": 2}, "best_of"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"seed": 1.5}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"logit_bias": {"320": 1}}, "logit_bias"),
        ({"logit_bias": {"9" * 5000: 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"path": TEXT, "prompt": [320]}, "prompt"),
        ({"path": TEXT, "prompt": ["a", "b"]}, "prompt"),
        ({"path": TEXT, "prompt": []}, "prompt"),
        ({"path": TEXT}, "prompt"),
        ({"path": TEXT, "prompt": "a", "logprobs": True}, "logprobs"),
        ({"path": TEXT, "prompt": "a", "echo": True}, "echo"),
        ({"path": TEXT, "prompt": "a", "suffix": "b"}, "suffix"),
        ({"n": 10_000}, "n"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(read: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as raised:
        read(ask_for(**fields))
    assert raised.value.param == param
    assert param in str(raised.value)


def test_what_does_not_fit_the_context_is_refused_before_anything_runs(read: Any) -> None:
    with pytest.raises(ContextExceeded, match="more than the context of 40") as raised:
        read(ask_for(path=TEXT, prompt=[5] * 30, max_tokens=11), context=40)
    assert raised.value.param == "max_tokens"
    with pytest.raises(ContextExceeded, match="shorten it"):
        read(ask_for(path=TEXT, prompt=[5] * 40, max_tokens=None), context=40)
    assert read(ask_for(path=TEXT, prompt=[5] * 30, max_tokens=10), context=40).limit == 10
