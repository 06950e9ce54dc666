"""Tests router/quality/replies.py and router/quality/assessing.py."""

import json
import math

import pytest

from router.base import Tier
from router.quality.assessing import assess
from router.quality.replies import ToolCall, said_by
from tests.router.quality.asked import body_of, request_of


def events(*deltas: dict[str, object], finish: str | None = "stop", **more: object) -> bytes:
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    choices = [*({"index": 0, "delta": delta, "finish_reason": None, **more} for delta in deltas), last]
    parts = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]
    return ("".join(parts) + "data: [DONE]\n\n").encode()


def test_events_and_a_body_say_the_same() -> None:
    call = {"index": 0, "function": {"name": "find", "arguments": '{"q":'}}
    more = {"index": 0, "function": {"arguments": "1}"}}
    streamed = said_by(
        events({"content": "so"}, {"content": " it is"}, {"tool_calls": [call]}, {"tool_calls": [more]}), stream=True
    )
    whole = said_by(
        body_of("so it is", tool_calls=[{"function": {"name": "find", "arguments": '{"q":1}'}}]), stream=False
    )
    assert streamed == whole
    assert whole is not None
    assert (whole.text, whole.calls, whole.finish) == ("so it is", (ToolCall("find", '{"q":1}'),), "stop")


def test_probabilities_become_their_mean_and_a_lower_bound_of_entropy() -> None:
    half = math.log(0.5)
    told = {"content": [{"token": "a", "logprob": half, "top_logprobs": [{"logprob": half}, {"logprob": half}]}] * 2}
    said = said_by(events({"content": "a"}, logprobs=told), stream=True)
    assert said is not None
    assert said.logprob == pytest.approx(half)
    assert said.perplexity == pytest.approx(2.0)
    assert said.entropy == pytest.approx(math.log(2))
    silent = said_by(body_of("a"), stream=False)
    assert silent is not None
    assert silent.logprob is silent.perplexity is silent.entropy is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"error":{}}', b'{"choices":[]}', b"\xff", b"data: [DONE]\n\n"])
def test_what_is_no_completion_says_nothing(body: bytes) -> None:
    assert said_by(body, stream=False) is said_by(body, stream=True) is None
    assert assess(request_of(), Tier.MINI, body) is None


@pytest.mark.parametrize(
    ("body", "flags"),
    [
        (body_of("Fine."), (False, False, False)),
        (body_of(" \n"), (True, False, False)),
        (body_of(None), (True, False, False)),
        (body_of(None, finish="tool_calls"), (False, False, False)),
        (body_of(None, tool_calls=[{"function": {"name": "f", "arguments": "{}"}}]), (False, False, False)),
        (body_of("Fine, but", finish="length"), (False, True, False)),
        (body_of("Fine, but", finish=None), (False, True, False)),
        (body_of(None, refusal="No."), (False, False, True)),
        (body_of(None, finish="content_filter"), (False, False, True)),
        (body_of("I'm sorry, but I can't help with that."), (False, False, True)),
    ],
)
def test_a_reply_is_empty_cut_or_a_refusal(body: bytes, flags: tuple[bool, bool, bool]) -> None:
    found = assess(request_of(), Tier.MINI, body)
    assert found is not None
    assert (found.is_empty, found.is_truncated, found.is_refusal) == flags


def test_blanks_are_empty_and_no_repetition() -> None:
    found = assess(request_of(), Tier.MINI, body_of("\n \t" * 2_000))
    assert found is not None
    assert (found.is_empty, found.is_repetitive) == (True, False)


def test_an_assessment_has_the_figures_of_the_text() -> None:
    found = assess(request_of("req_9"), Tier.LARGE, body_of("I am not sure about that. " * 12))
    assert found is not None
    assert (found.request_id, found.tier, found.finish, found.tokens) == ("req_9", Tier.LARGE, "stop", 84)
    assert found.is_repetitive
    assert found.repetition > 0.9
    assert found.compression > 2.4
    assert (found.checks, found.failed_checks, found.agreement, found.judge) == (0, 0, None, "")


def test_why_it_ended_is_a_word_or_nothing() -> None:
    for told, finish in (("stop", "stop"), ("st\0op", ""), ("x" * 99, "x" * 32)):
        body = json.dumps({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": told}]})
        said = said_by(body.encode(), stream=False)
        assert said is not None
        assert said.finish == finish
