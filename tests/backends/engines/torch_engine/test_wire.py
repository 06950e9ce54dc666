"""Tests of `backends/engines/torch_engine/wire.py`, read by the models of the openai package."""

import json
from typing import Any

import pytest

pytest.importorskip("torch")

from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from backends.engines.base import Ask
from backends.engines.torch_engine.answers import Grown, Job
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.sampling import Chosen
from backends.engines.torch_engine.wanted import read_wanted
from backends.engines.torch_engine.wire import DONE, Writing
from backends.sse import StreamReader
from tests.backends.engines.torch_engine.conftest import ask_for

TEXT = "/completions"


@pytest.fixture
def write(models: dict[str, Loaded]) -> Any:
    def writing(ask: Ask, *, cached: int = 0) -> Writing:
        tokenizer = models["mistral"].tokenizer
        job = Job(read_wanted(ask, tokenizer, context=1024), adapter="", salt="", choices=ask.choices, prefix=None)
        job.cached = cached
        return Writing(ask, job, tokenizer, model="tiny", created=1)

    return writing


def events(stream: bytes) -> list[Any]:
    *parts, done, rest = stream.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_a_stream_begins_with_its_role_and_ends_with_reason_usage_and_done(write: Any) -> None:
    writing = write(ask_for(stream=True), cached=3)
    stream = writing.chunk(Grown(0, "one ", 1)) + writing.chunk(Grown(0, "世界", 3, (), "stop"))
    chunks = [ChatCompletionChunk.model_validate(event) for event in events(stream)]
    deltas = [chunk.choices[0] for chunk in chunks[:-1]]
    assert [delta.delta.role for delta in deltas] == ["assistant", None, None, None]
    assert "".join(delta.delta.content or "" for delta in deltas) == "one 世界"
    assert [delta.finish_reason for delta in deltas] == [None, None, None, "stop"]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 3
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert {chunk.id for chunk in chunks} == {"chatcmpl-r1"}


def test_a_stream_is_whole_to_the_gateways_own_reader(write: Any) -> None:
    writing = write(ask_for(stream=True, n=2))
    stream = writing.chunk(Grown(1, "a", 1)) + writing.chunk(Grown(0, "b", 1, (), "length"))
    assert not writing.complete
    stream += writing.chunk(Grown(1, "c", 2, (), "stop"))
    reader = StreamReader(strip_usage=True)
    passed = reader.feed(stream) + reader.finish()
    assert reader.finished
    assert reader.usage is not None
    assert reader.usage.output == 3
    assert b'"usage"' not in passed
    roles = [event["choices"][0] for event in events(stream)[:-1] if "role" in event["choices"][0]["delta"]]
    assert sorted(one["index"] for one in roles) == [0, 1]


def test_usage_is_left_out_where_it_is_not_wanted(write: Any) -> None:
    ask = ask_for(stream=True)
    stream = write(Ask(**{**{f: getattr(ask, f) for f in ask.__struct_fields__}, "wants_usage": False})).chunk(
        Grown(0, "a", 1, (), "stop")
    )
    assert stream.endswith(DONE)
    assert b"usage" not in stream


def test_a_whole_answer_has_all_choices_in_order(write: Any) -> None:
    writing = write(ask_for(n=2))
    for grown in (Grown(1, "x", 1), Grown(0, "a", 1), Grown(1, "y", 2, (), "length"), Grown(0, "b", 2, (), "stop")):
        writing.take(grown)
    body = writing.whole()
    whole = ChatCompletion.model_validate_json(body)
    assert [choice.message.content for choice in whole.choices] == ["ab", "xy"]
    assert [choice.finish_reason for choice in whole.choices] == ["stop", "length"]
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 4


def test_logprobs_name_tokens_by_text_and_bytes(write: Any, models: dict[str, Loaded]) -> None:
    first, *_ = models["mistral"].tokenizer.encode("世")
    told = (Chosen(first, -0.5, ((first, -0.5), (2, -1.0))),)
    writing = write(ask_for(logprobs=True, top_logprobs=2))
    writing.take(Grown(0, "世", 1, told, "stop"))
    logprobs = ChatCompletion.model_validate_json(writing.whole()).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert bytes(logprobs.content[0].bytes or []) == models["mistral"].tokenizer.piece(first)
    assert [top.logprob for top in logprobs.content[0].top_logprobs] == [-0.5, -1.0]


def test_completions_have_their_own_form(write: Any, models: dict[str, Loaded]) -> None:
    ids = models["mistral"].tokenizer.encode("the answer")
    told = tuple(Chosen(token, -0.25, ((token, -0.25),)) for token in ids)
    asked: dict[str, Any] = {"path": TEXT, "prompt": "a", "logprobs": 1}
    writing = write(ask_for(**asked))
    writing.take(Grown(0, "the answer", len(ids), told, "stop"))
    whole = Completion.model_validate_json(writing.whole())
    assert whole.choices[0].text == "the answer"
    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == "the answer"
    assert (logprobs.text_offset or [1])[0] == 0
    streaming = write(ask_for(**asked, stream=True))
    stream = streaming.chunk(Grown(0, "the", 1, told[:1])) + streaming.chunk(Grown(0, " answer", 2, told[1:], "stop"))
    choices = [event["choices"][0] for event in events(stream)[:-1]]
    assert "".join(choice["text"] for choice in choices) == "the answer"
    assert [choice["finish_reason"] for choice in choices] == [None, "stop"]
    offsets = [offset for choice in choices for offset in choice["logprobs"]["text_offset"]]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == len(ids)


def test_of_probabilities_that_are_written_alike_the_likeliest_is_told(write: Any, models: dict[str, Loaded]) -> None:
    tokenizer = models["mistral"].tokenizer
    parts = [token for token in range(tokenizer.size) if tokenizer.piece(token) in (b"\xe4", b"\xb8")]
    told = (Chosen(parts[0], -0.5, ((parts[0], -0.5), (parts[1], -3.0))),)
    writing = write(ask_for(path=TEXT, prompt="a", logprobs=2))
    writing.take(Grown(0, "\N{REPLACEMENT CHARACTER}", 1, told, "stop"))
    logprobs = Completion.model_validate_json(writing.whole()).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.top_logprobs == [{"\N{REPLACEMENT CHARACTER}": -0.5}]
