"""Tests of backends/history/normalising.py.

backends/history/rewriting.py backends/history/options.py
"""

import json
import re
import timeit
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import Backend, Call, Chunks, Reply
from backends.history.normalising import Normalising, restored
from backends.history.options import HistoryOptions
from backends.history.rewriting import rewritten
from backends.options import HttpOptions

Fields = dict[str, Any]
MISTRAL = HistoryOptions(tool_ids="mistral")
EVERYTHING = HistoryOptions(tool_ids="mistral", reasoning="drop", roles="alternate", developer="system")


class Speaker:
    """Answers what it is told to and keeps what it was asked."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.calls: list[Call] = []
        self.is_closed = self.is_left = False

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(self._chunks(), "application/json", "speaker:1")

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                yield piece
        finally:
            self.is_left = True

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        self.is_closed = True

    def messages(self) -> list[Fields]:
        found: list[Fields] = json.loads(self.calls[-1].body)["messages"]
        return found


def call_of(*messages: Fields, stream: bool = False, path: str = "/chat/completions", salt: str = "") -> Call:
    body = json.dumps({"model": "m", "messages": messages, "seed": 1}).encode()
    return Call(path, body, stream=stream, deadline=1e9, request_id="r", salt=salt)


def turns(*ids: str) -> list[Fields]:
    """Return a conversation in which tools of these ids were called."""
    found: list[Fields] = [{"role": "user", "content": "go"}]
    for name in ids:
        call = {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        found.append({"role": "assistant", "content": None, "tool_calls": [call]})
        found.append({"role": "tool", "tool_call_id": name, "content": "done"})
    return found


async def told(reply: Reply) -> bytes:
    return b"".join([piece async for piece in reply.chunks])


async def test_ids_are_rewritten_on_both_sides_and_all_else_stays() -> None:
    speaker = Speaker(b"{}")
    await Normalising(speaker, MISTRAL).send(call_of(*turns("call_1", "Ab3dE5gH9")))
    asked = json.loads(speaker.calls[0].body)
    short = asked["messages"][1]["tool_calls"][0]["id"]
    assert re.fullmatch("[A-Za-z0-9]{9}", short)
    expected = json.loads(json.dumps(turns("call_1", "Ab3dE5gH9")).replace("call_1", short))
    assert asked == {"model": "m", "messages": expected, "seed": 1}


async def test_the_caller_finds_ids_of_their_own_in_the_reply() -> None:
    speaker = Speaker(b"")
    normalising = Normalising(speaker, MISTRAL)
    await normalising.send(call_of(*turns("call_1")))
    short = speaker.messages()[1]["tool_calls"][0]["id"]
    speaker.pieces = (b'{"tool_calls":[{"id" : "%b"},{"id":"' % short.encode(), b'fresh0000"}],"text":"\\"id\\":1"}')
    whole = await told(await normalising.send(call_of(*turns("call_1"))))
    assert whole == b'{"tool_calls":[{"id" : "call_1"},{"id":"fresh0000"}],"text":"\\"id\\":1"}'


async def test_tenants_have_ids_of_their_own() -> None:
    speaker = Speaker(b"{}")
    found = set()
    for salt in ("", "one", "other", "one"):
        await Normalising(speaker, MISTRAL).send(call_of(*turns("call_1"), salt=salt))
        found.add(speaker.messages()[1]["tool_calls"][0]["id"])
    assert len(found) == 3


_IDS = st.lists(st.text(min_size=1, max_size=12) | st.from_regex("[a-z0-9]{9}", fullmatch=True), max_size=6)


@settings(max_examples=60, deadline=None)
@given(_IDS)
def test_what_is_rewritten_and_put_back_is_what_it_was(ids: list[str]) -> None:
    body = call_of(*turns(*ids)).body
    found = rewritten(body, MISTRAL, key="k")
    assert json.loads(restored(found.body, found.ids)) == json.loads(body)
    again = rewritten(found.body, MISTRAL, key="k")
    assert (again.body, again.ids) == (found.body, {})


@settings(max_examples=40, deadline=None)
@given(_IDS, st.integers(1, 60), st.sampled_from([b"\n", b"\r\n"]))
async def test_a_stream_split_anywhere_is_put_back_alike(ids: list[str], size: int, end: bytes) -> None:
    call = call_of(*turns(*ids), stream=True)
    found = rewritten(call.body, MISTRAL, key="")
    calls = [call for message in json.loads(found.body)["messages"] for call in message.get("tool_calls", ())]
    events = [b'data: {"delta":{"tool_calls":[%b]}}' % json.dumps(each).encode() for each in calls]
    stream = (end * 2).join([*events, b"data: [DONE]"]) + end * 2
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    reply = await Normalising(Speaker(*pieces), MISTRAL).send(call)
    assert await told(reply) == restored(stream, found.ids)
    assert restored(stream, found.ids).count(b"tool_calls") == len(ids)


@pytest.mark.parametrize("stream", [True, False])
async def test_whoever_leaves_a_reply_leaves_the_backends(stream: bool) -> None:  # noqa: FBT001  (pytest gives it)
    speaker = Speaker(b"data: 1\n\n", b"data: 2\n\n")
    reply = await Normalising(speaker, MISTRAL).send(call_of(*turns("call_1"), stream=stream))
    assert isinstance(reply.chunks, Chunks)
    await anext(reply.chunks)
    await reply.chunks.aclose()
    assert speaker.is_left
    with pytest.raises(StopAsyncIteration):
        await anext(reply.chunks)


async def test_thoughts_are_dropped_where_the_model_takes_none() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]
    messages: list[Fields] = [
        {"role": "user", "content": "why?", "reasoning": "kept: it is the user's"},
        {"role": "assistant", "content": "so", "reasoning_content": "hm", "reasoning": "hm", "thinking_blocks": []},
        {"role": "assistant", "content": parts, "reasoning_details": []},
        {"role": "assistant", "content": parts[:1]},
        {"role": "assistant", "content": None},
    ]
    speaker = Speaker(b"{}")
    await Normalising(speaker, HistoryOptions(reasoning="drop")).send(call_of(*messages))
    assert speaker.messages() == [
        messages[0],
        {"role": "assistant", "content": "so"},
        {"role": "assistant", "content": parts[1:]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None},
    ]


async def test_developers_speak_as_the_system_and_roles_alternate() -> None:
    speaker = Speaker(b"{}")
    messages = [{"role": role, "content": role} for role in ("system", "developer", "user", "user")]
    await Normalising(speaker, EVERYTHING).send(call_of(*messages))
    assert speaker.messages() == [
        {"role": "system", "content": "system\n\ndeveloper"},
        {"role": "user", "content": "user\n\nuser"},
    ]


BODIES = {
    "no JSON": b'{"tool_call',
    "no messages": b'{"tool_calls":[]}',
    "messages a text": b'{"messages":"tool_calls"}',
    "a message a text": b'{"messages":["tool_call"]}',
    "no role": b'{"messages":[{"tool_calls":[]}]}',
    "role a number": b'{"messages":[{"role":1,"tool_calls":[]}]}',
    "calls a number": b'{"messages":[{"role":"assistant","tool_calls":7}]}',
    "calls of texts": b'{"messages":[{"role":"assistant","tool_calls":["x"]}]}',
    "id a number": b'{"messages":[{"role":"assistant","tool_calls":[{"id":1}]}]}',
    "tool_call_id null": b'{"messages":[{"role":"tool","tool_call_id":null}]}',
    "parts of texts": b'{"messages":[{"role":"assistant","content":["tool_call"]}]}',
    "content a number": b'{"messages":[{"role":"user","content":1},{"role":"user","content":2}]}',
    "deep": b'{"messages":[{"role":"user","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}]}",
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_none_reaches_the_backend_as_it_came(name: str) -> None:
    speaker = Speaker(b"said no")
    call = Call("/chat/completions", BODIES[name], stream=False, deadline=1e9, request_id="r")
    assert await told(await Normalising(speaker, EVERYTHING).send(call)) == b"said no"
    assert speaker.calls[0].body == BODIES[name]


async def test_other_paths_and_replies_without_rewritten_ids_pass_untouched() -> None:
    speaker = Speaker(b"x")
    normalising = Normalising(speaker, MISTRAL)
    await normalising.send(call_of(*turns("call_1"), path="/completions"))
    assert speaker.calls[0].body == call_of(*turns("call_1")).body
    reply = await normalising.send(call_of(*turns("Ab3dE5gH9")))
    assert not isinstance(reply.chunks, Chunks)


async def test_a_wrapper_is_what_it_wraps() -> None:
    speaker = Speaker()
    normalising: Backend = Normalising(speaker, MISTRAL)
    assert await normalising.is_ready()
    await normalising.aclose()
    assert speaker.is_closed
    assert repr(normalising).startswith("<Normalising")
    server = HttpOptions(use="openai_http", urls=("http://h:1/v1",), model="m", price="p")
    assert server.with_history(speaker) is speaker
    assert isinstance(server.model_copy(update={"history": MISTRAL}).with_history(speaker), Normalising)


def test_a_configuration_chooses_it() -> None:
    server = {"use": "openai_http", "urls": ("http://h:1/v1",), "model": "m", "price": "p"}
    chosen = HttpOptions.model_validate({**server, "history": {"tool_ids": "mistral"}})
    assert "Normalising" in repr(chosen.build())
    assert "Normalising" not in repr(HttpOptions.model_validate(server).build())


@pytest.mark.parametrize("options", [MISTRAL, HistoryOptions(tool_ids="mistral", reasoning="drop", developer="system")])
def test_where_nothing_is_to_be_done_it_costs_next_to_nothing(options: HistoryOptions) -> None:
    normalising = Normalising(Speaker(), options)
    body = call_of({"role": "user", "content": "word " * 400}).body
    seconds = min(timeit.repeat(lambda: normalising._concerns(body), number=1_000, repeat=5)) / 1_000
    assert not normalising._concerns(body)
    assert seconds < 20e-6  # ten times what was measured, for machines that are busy
