"""Tests backends/sse.py: any split of a stream gives the same bytes and the same findings."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import StreamBroken, Usage
from backends.sse import LONGEST_REASON, MAX_EVENT, StreamReader, read_reply

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"caf\xc3\xa9 \\"usage\\": 1"},"finish_reason":null}]}'
SECOND = b'data: {"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":null}]}'
TOOL = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"function":{"arguments":"{"}}]}}]}'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
STOP_SECOND = b'data: {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}'
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,'
    b'"prompt_tokens_details":{"cached_tokens":2}}}'
)
STOP_WITH_USAGE = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1}}'
)
FAULT = b'data: {"error":{"message":"out of memory","code":500}}'
NAMED_FAULT = b'event: error\ndata: {"message":"out of memory"}'
PING = b": ping"
TWO_LINES = b'data: {"choices":[{"index":0,"delta":{},\ndata: "finish_reason":"stop"}]}'
DAMAGED = b'data: {"choices":[{"index":0,"finish_reason":"st'
DONE = b"data: [DONE]"
EVENTS = (
    ROLE, WORD, SECOND, TOOL, STOP, STOP_SECOND, USAGE, STOP_WITH_USAGE,
    FAULT, NAMED_FAULT, PING, TWO_LINES, DAMAGED, DONE,
)  # fmt: skip

Findings = tuple[bytes, Usage | None, bool, bool, bool]


def stream(*events: bytes, ending: bytes = b"\n") -> bytes:
    return b"".join(event.replace(b"\n", ending) + 2 * ending for event in events)


def read(pieces: Iterable[bytes], *, strip_usage: bool = True) -> Findings:
    reader = StreamReader(strip_usage=strip_usage)
    passed = b"".join([reader.feed(piece) for piece in pieces]) + reader.finish()
    return passed, reader.usage, reader.finished, reader.failed, reader.has_content


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def _passed(events: Sequence[bytes]) -> list[bytes]:
    """Return what a caller may see: no `[DONE]` of a stream that lacks something."""
    found = [event != DONE or read([stream(*events[: at + 1])])[2] for at, event in enumerate(events)]
    return [event for event, passes in zip(events, found, strict=True) if passes]


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(st.sampled_from(EVENTS), max_size=12),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(min_value=0), max_size=20),
    strip=st.booleans(),
)
def test_any_split_gives_the_same_bytes_and_findings(
    *, events: list[bytes], ending: bytes, cuts: list[int], strip: bool
) -> None:
    data = stream(*events, ending=ending)
    findings = read([data], strip_usage=strip)
    assert read(split(data, cuts), strip_usage=strip) == findings
    assert read([data[i : i + 1] for i in range(len(data))], strip_usage=strip) == findings
    assert findings[1:] == read([stream(*events)])[1:]
    assert findings[0] == stream(*(event for event in _passed(events) if not (strip and event == USAGE)), ending=ending)


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x", b"data:", b" ", *EVENTS]), max_size=24),
    cuts=st.lists(st.integers(min_value=0), max_size=20),
)
def test_any_split_of_anything_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    findings = read([data])
    assert read(split(data, cuts)) == findings
    assert read([data[i : i + 1] for i in range(len(data))]) == findings
    passed = read([data], strip_usage=False)[0]
    assert passed == data or (DONE[6:] in data and len(passed) < len(data))


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=200).filter(lambda data: DONE[6:] not in data), before=st.sampled_from([b"", stream(WORD)])
)
def test_no_bytes_raise_or_are_lost(data: bytes, before: bytes) -> None:
    assert read([before, data], strip_usage=False)[0] == before + data
    assert read([before, b"data: " + data + b'"usage"[DONE]\n\n'], strip_usage=False)[0].startswith(before)


def test_a_complete_stream_is_finished() -> None:
    passed, usage, finished, failed, has_content = read([stream(ROLE, WORD, STOP, USAGE, DONE)])
    assert passed == stream(ROLE, WORD, STOP, DONE)
    assert usage == Usage(fresh_input=7, cached_input=2, output=4)
    assert (finished, failed, has_content) == (True, False, True)


def test_a_cut_at_any_byte_is_not_finished() -> None:
    data = stream(ROLE, WORD, STOP, USAGE, DONE)
    said_done = data.index(DONE) + len(DONE)
    assert [cut for cut in range(len(data)) if read([data[:cut]])[2]] == list(range(said_done, len(data)))


@pytest.mark.parametrize(
    "events",
    [
        (ROLE, WORD, STOP),
        (ROLE, WORD, DONE),
        (DONE,),
        (ROLE, WORD, SECOND, STOP, DONE),
        (ROLE, WORD, STOP, FAULT, DONE),
        (ROLE, WORD, NAMED_FAULT, STOP, DONE),
        (ROLE, WORD, DAMAGED, STOP, DONE),
    ],
)
def test_a_stream_that_lacks_something_is_not_finished(events: tuple[bytes, ...]) -> None:
    assert not read([stream(*events)])[2]
    assert not read([stream(event) for event in events])[2]


@pytest.mark.parametrize("size", [1, 1_000])
@pytest.mark.parametrize(
    "events", [(), (PING,), (ROLE, WORD), (WORD, SECOND, STOP), (WORD, STOP, FAULT), (WORD, DAMAGED, STOP)]
)
def test_a_caller_who_stops_at_done_never_takes_a_part_for_the_whole(events: tuple[bytes, ...], size: int) -> None:
    data = stream(*events, DONE, DONE)
    assert read([data[at : at + size] for at in range(0, len(data), size)])[0] == stream(*events)
    assert read([data[:-2]])[0] == stream(*events)


def test_each_choice_must_end() -> None:
    assert read([stream(ROLE, WORD, SECOND, STOP_SECOND, STOP, DONE)])[2]
    assert read(stream(event) for event in (WORD, SECOND, STOP, STOP_SECOND, DONE))[2]


@pytest.mark.parametrize("fault", [FAULT, NAMED_FAULT, DAMAGED, b'data: {"object":"error","message":"no"}'])
def test_a_fault_is_noticed_wherever_it_comes(fault: bytes) -> None:
    for events in ((fault,), (ROLE, fault), (WORD, WORD, fault), (WORD, STOP, DONE, fault)):
        assert read([stream(event) for event in events])[3]


def test_usage_in_a_chunk_with_choices_is_read_and_passed_on() -> None:
    passed, usage, finished, _, _ = read([stream(WORD, STOP_WITH_USAGE, DONE)])
    assert passed == stream(WORD, STOP_WITH_USAGE, DONE)
    assert usage == Usage(fresh_input=3, cached_input=None, output=1)
    assert finished


def test_usage_that_was_asked_for_is_passed_on() -> None:
    data = stream(WORD, STOP, USAGE, DONE)
    assert read([data], strip_usage=False)[:2] == (data, Usage(fresh_input=7, cached_input=2, output=4))


def test_an_unfinished_event_is_held_back_and_whole_ones_are_not() -> None:
    reader = StreamReader(strip_usage=True)
    assert reader.feed(stream(WORD) + WORD[:30]) == stream(WORD)
    assert reader.feed(WORD[30:]) == b""
    assert reader.feed(b"\n") == b""
    assert reader.feed(b"\n") == stream(WORD)
    assert reader.finish() == b""


def test_ordinary_chunks_pass_as_the_very_same_bytes() -> None:
    reader = StreamReader(strip_usage=True)
    reader.feed(stream(WORD))
    chunk = stream(WORD, WORD)
    assert reader.feed(chunk) is chunk


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        ({"role": "assistant"}, False),
        ({"content": ""}, False),
        ({"content": None}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        (None, False),
        ([], False),
    ],
)
def test_content_is_whatever_a_delta_says_beside_its_role(delta: object, *, said: bool) -> None:
    event = b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()
    assert read([stream(event)])[4] is said


def test_a_legacy_completion_says_text() -> None:
    assert not read([stream(b'data: {"choices":[{"index":0,"text":""}]}')])[4]
    assert read([stream(b'data: {"choices":[{"index":0,"text":"x"}]}')])[4]


@pytest.mark.parametrize("before", [b"", stream(WORD)])
def test_an_event_over_the_cap_breaks_the_stream(before: bytes) -> None:
    endless = b"data: " + b"x" * MAX_EVENT
    with pytest.raises(StreamBroken, match="longer"):
        read([before, endless + b"\n\n"])
    reader = StreamReader(strip_usage=True)
    reader.feed(before)
    with pytest.raises(StreamBroken, match="longer"):
        list(map(reader.feed, split(endless, range(0, len(endless), 65_536))))
    with pytest.raises(StreamBroken, match="longer"):
        StreamReader(strip_usage=True).feed(stream(WORD) + endless)
    many = stream(*([WORD] * (MAX_EVENT // len(WORD) + 1)))
    assert read([before, many])[0] == before + many


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    deep = b"[" * 100_000
    assert read([stream(b'data: {"error":' + deep)])[3]
    assert read([stream(b'data: {"choices":[{"delta":' + deep + b"]" * 100_000 + b"}]}")])[3]
    assert read_reply(b'{"usage":' + deep).usage is None
    assert not read_reply(b'{"choices":' + deep).is_whole


@pytest.mark.parametrize(
    ("changed", "usage"),
    [
        ({}, Usage(9, None, 4)),
        ({"total_tokens": 13}, Usage(9, None, 4)),
        ({"completion_tokens": 0, "total_tokens": 9}, Usage(9, None, 0)),
        ({"prompt_tokens_details": None}, Usage(9, None, 4)),
        ({"prompt_tokens_details": {}}, Usage(9, None, 4)),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, Usage(9, 0, 4)),
        ({"prompt_tokens_details": {"cached_tokens": 9}}, Usage(0, 9, 4)),
        ({"completion_tokens_details": {"reasoning_tokens": 4}}, Usage(9, None, 0, reasoning=4)),
        ({"prompt_tokens_details": {"cached_tokens": 10}}, None),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, None),
        ({"completion_tokens_details": {"reasoning_tokens": 5}}, None),
        ({"total_tokens": 14}, None),
        ({"prompt_tokens": -9}, None),
        ({"completion_tokens": -4}, None),
        ({"prompt_tokens": 10**10}, None),
        ({"prompt_tokens": "9"}, None),
        ({"prompt_tokens": None}, None),
    ],
)
def test_usage_is_the_same_streamed_and_not_and_never_untrue(changed: dict[str, object], usage: Usage | None) -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 4} | changed
    assert read_reply(json.dumps({"id": "x", "choices": [], "usage": told}).encode()).usage == usage
    event = b"data: " + json.dumps({"choices": [], "usage": told}).encode()
    assert read([stream(WORD, event)])[1] == usage


@pytest.mark.parametrize("told", [{"prompt_tokens": 9, "total_tokens": 8}, {"prompt_tokens": -9}, [], 7])
def test_what_cannot_be_true_is_told_from_what_is_not_told(told: object) -> None:
    assert read_reply(json.dumps({"usage": told}).encode()).contradicts
    reader = StreamReader(strip_usage=True)
    reader.feed(stream(WORD, b"data: " + json.dumps({"choices": [], "usage": told}).encode()))
    assert (reader.usage, reader.contradicts) == (None, True)
    reader.feed(stream(USAGE))
    assert (reader.usage is None, reader.contradicts) == (False, False), "the last that is told counts"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("told", "tier"),
    [("flex", "flex"), ("Default", "default"), (None, ""), (7, "?"), ("x" * 50, "?"), ("fl\0ex", "?")],
)
def test_the_service_tier_is_that_of_the_answer_whichever_chunk_tells_it(
    told: object, tier: str, *, before: bool
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    body = json.dumps({"service_tier": told, "usage": usage}).encode()
    whole = read_reply(body).usage
    assert whole == Usage(3, None, 1, service_tier=tier)
    event = b"data: " + json.dumps({"choices": [], "usage": usage}).encode()
    word = b"data: " + json.dumps({"choices": [{"finish_reason": "stop"}], "service_tier": told}).encode()
    assert read([stream(WORD, *((word, event) if before else (event, word)))])[1] == whole


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"usage":null}', b'{"usage":[]}'])
def test_a_body_without_usage_has_none(body: bytes) -> None:
    assert read_reply(body).usage is None


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b'{"choices":[{"finish_reason":"stop"}]}', True),
        (b'{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}', True),
        (b'{"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}', False),
        (b'{"choices":[{"text":"x"}]}', False),
        (b'{"choices":[]}', False),
        (b'{"choices":null}', False),
        (b'{"error":{}}', False),
        (b'{"choices":[{"finish_reason":"stop"}]', False),
        (b"", False),
    ],
)
def test_an_unstreamed_reply_is_whole_when_each_choice_ended(body: bytes, *, whole: bool) -> None:
    assert read_reply(body).is_whole is whole


@pytest.mark.parametrize(
    ("choice", "plain"),
    [
        ({"message": {"content": "a"}}, True),
        ({"message": {"content": "a", "tool_calls": [], "function_call": None, "refusal": None}}, True),
        ({"message": {"content": '"tool_calls":[{'}}, True),
        ({"text": "a"}, True),
        ({"finish_reason": "length"}, False),
        ({"finish_reason": "content_filter"}, False),
        ({"finish_reason": None}, False),
        ({"message": {"tool_calls": [{"id": "1"}]}}, False),
        ({"message": {"function_call": {"name": "f"}}}, False),
        ({"message": {"refusal": "I will not"}}, False),
        ({"message": "a"}, False),
    ],
)
def test_a_reply_is_plain_when_it_ended_by_itself_and_only_says_something(
    choice: dict[str, object], *, plain: bool
) -> None:
    first = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    body = json.dumps({"choices": [first, {**first, "finish_reason": "stop", **choice}]}).encode()
    assert read_reply(body).is_plain is plain


def test_why_a_reply_ended_is_told_alike_streamed_and_not() -> None:
    body = b'{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"length"}]}'
    reader = StreamReader(strip_usage=False)
    reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}\n\n')
    assert read_reply(body).reason == reader.reason == "length"


@pytest.mark.parametrize("body", [b"{}", b"no", b'{"choices":[]}', b'{"choices":[{"finish_reason":null}]}'])
def test_a_reply_that_does_not_say_why_it_ended_has_no_reason(body: bytes) -> None:
    assert read_reply(body).reason == ""


def test_a_reason_without_end_is_cut() -> None:
    told = read_reply(b'{"choices":[{"finish_reason":"' + b"x" * 5_000 + b'"}]}')
    assert len(told.reason) == LONGEST_REASON


@pytest.mark.parametrize("odd", [r"st\u0000op", r"stop\n", r"\u2028"])
def test_a_reason_that_is_no_word_is_none(odd: str) -> None:
    choice = '{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"%s"}]}' % odd  # noqa: UP031 - braces
    reader = StreamReader(strip_usage=False)
    reader.feed(b"data: " + choice.encode() + b"\n\n")
    assert read_reply(choice.encode()).reason == reader.reason == ""
