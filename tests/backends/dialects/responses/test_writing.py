"""backends/dialects/responses/writing.py and backends/dialects/responses/output_items.py, by from_responses.py.

Also backends/dialects/responses/chat_replies.py, which is read, and backends/dialects/responses/replaying.py, which
writes a second time.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from backends.dialects.base import DialectError
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.replaying import events_of
from tests.backends.dialects.responses.said import FRAME, Said, answers, cut

Fields = dict[str, Any]
ASKED: Fields = {"model": "auto", "input": "hello"}
_events: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def events_in(stream: bytes) -> list[Fields]:
    """Return the events, each checked against the SDK's own type of it."""
    found = []
    for block in stream.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        _events.validate_python(event)
        found.append(event)
    return found


def streamed(said: Said, **asked: object) -> tuple[FromResponses, list[Fields]]:
    translation = FromResponses({**ASKED, "stream": True, **asked})
    told = b"".join([translation.feed(piece) for piece in cut(said.stream, said.cuts)]) + translation.finish()
    return translation, events_in(told)


def chunk(delta: Fields, **choice: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None, **choice}]
    return b"data: %b\n\n" % json.dumps({**FRAME, "choices": choices}).encode()


@settings(max_examples=80, deadline=None)
@given(answers())
def test_a_stream_cut_anywhere_adds_up_to_the_whole(said: Said) -> None:
    translation, events = streamed(said)
    whole = json.loads(translation.whole(said.whole))
    Response.model_validate(whole)
    last = events[-1]
    assert last["type"] == ("response.completed" if whole["status"] == "completed" else "response.incomplete")
    assert {**last["response"], "completed_at": None} == {**whole, "completed_at": None}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@settings(max_examples=40, deadline=None)
@given(answers())
def test_deltas_add_up_to_what_is_done(said: Said) -> None:
    _, events = streamed(said)
    grown: dict[tuple[str, str], str] = {}
    finished = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    for event in events:
        kind, _, step = event["type"].rpartition(".")
        place = (event.get("item_id", ""), kind)
        if step == "delta":
            grown[place] = grown.get(place, "") + event["delta"]
        elif step == "done" and "item_id" in event and "part" not in event:
            done = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert grown.get(place, "") == done
    assert sorted(finished, key=lambda item: item["id"][-4:]) == events[-1]["response"]["output"]


@settings(max_examples=30, deadline=None)
@given(answers())
def test_a_stored_response_is_told_again_in_the_same_words(said: Said) -> None:
    translation, events = streamed(said)
    response = translation.response
    assert response is not None
    if response["completed_at"] is not None:
        response = {**response, "completed_at": response["completed_at"] - 7}  # it was told some time ago
    again = events_in(events_of(json.loads(json.dumps(response))))
    assert again[-1]["response"] == response
    steps = [event["type"] for event in events if not event["type"].endswith(".delta")]
    assert [event["type"] for event in again if not event["type"].endswith(".delta")] == steps
    rest = events_in(events_of(response, after=3))
    assert rest == again[4:]


def test_the_events_of_a_word_come_in_the_order_of_the_api() -> None:
    said = Said({}, [{"role": "assistant"}, {"content": "hi"}], "stop", {}, [])
    _, events = streamed(said)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_thoughts_are_done_before_words_begin_and_words_before_a_call() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    deltas: list[Fields] = [{"reasoning_content": "hm"}, {"content": "hi"}, {"tool_calls": [call]}]
    _, events = streamed(Said({}, deltas, "tool_calls", {}, []))
    steps = [event["type"].rpartition(".")[2] for event in events if "output_item" in event["type"]]
    assert steps == ["added", "done"] * 3
    kinds = [item["type"] for item in events[-1]["response"]["output"]]
    assert kinds == ["reasoning", "message", "function_call"]


def test_log_probabilities_and_citations_stand_beside_their_words() -> None:
    odds = {"token": "hi", "logprob": -0.5, "top_logprobs": [{"token": "ho", "logprob": -1.5, "bytes": [1]}]}
    note = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 2}}
    translation = FromResponses({**ASKED, "stream": True})
    told = translation.feed(chunk({"content": "hi"}, logprobs={"content": [odds]}))
    told += translation.feed(chunk({"annotations": [note]}) + chunk({}, finish_reason="stop") + b"data: [DONE]\n\n")
    events = events_in(told + translation.finish())
    (part,) = events[-1]["response"]["output"][0]["content"]
    assert part["logprobs"] == [
        {"token": "hi", "bytes": [104, 105], "logprob": -0.5, "top_logprobs": [{**odds["top_logprobs"][0]}]}  # type: ignore[index]  # a list
    ]
    assert part["annotations"] == [{"type": "url_citation", **note["url_citation"]}]  # type: ignore[dict-item]  # an object


def test_a_stream_that_breaks_ends_with_a_failed_response_and_nothing_after() -> None:
    translation = FromResponses({**ASKED, "stream": True})
    told = translation.feed(chunk({"content": "hel"}))
    told += translation.feed(b'data: {"error":{"message":"it broke","type":"server_error","code":"x"}}\n\n')
    told += translation.feed(chunk({"content": "lo"}, finish_reason="stop") + b"data: [DONE]\n\n")
    events = events_in(told + translation.finish())
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "it broke"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    assert translation.response is None


def test_a_stream_without_its_end_is_no_answer() -> None:
    translation = FromResponses({**ASKED, "stream": True})
    translation.feed(chunk({"content": "hi"}, finish_reason="stop"))
    assert translation.finish() == b""
    assert translation.response is None


def test_a_failure_before_the_first_word_is_told_too() -> None:
    translation = FromResponses({**ASKED, "stream": True})
    events = events_in(translation.fail("gone"))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]


def test_a_comment_keeps_the_connection_alive_in_this_dialect_too() -> None:
    assert FromResponses({**ASKED, "stream": True}).feed(b": ping\n\n") == b": ping\n\n"


def test_only_the_first_of_several_choices_is_told() -> None:
    translation = FromResponses({**ASKED, "stream": True})
    told = translation.feed(chunk({"content": "a"}) + chunk({"content": "b"}, index=1))
    told += translation.feed(chunk({}, finish_reason="stop") + b"data: [DONE]\n\n") + translation.finish()
    assert events_in(told)[-1]["response"]["output"][0]["content"][0]["text"] == "a"


@pytest.mark.parametrize(
    "reply", [b"", b"{}", b"[]", b'{"choices":[]}', b"<html>", b'{"choices":[{"index":0}]}', b"[" * 9999]
)
def test_what_is_no_completion_is_refused(reply: bytes) -> None:
    with pytest.raises(DialectError):
        FromResponses(ASKED).whole(reply)


@pytest.mark.parametrize("piece", [b"data: {\n\n", b'data: {"choices":5}\n\n', b"data: \xff\n\n", b"data: []\n\n"])
def test_what_is_no_chunk_is_refused(piece: bytes) -> None:
    with pytest.raises(DialectError):
        FromResponses({**ASKED, "stream": True}).feed(piece)
