"""Tests router/semantic/asked.py."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.keys import reply_key
from router.base import Request
from router.endpoints.wire import read_chat
from router.semantic.asked import MAX_MESSAGES_BYTES, REST, asked_of

SYSTEM = {"role": "system", "content": "be brief"}


def request(body: dict[str, object], *, tenant: str = "t", headers: dict[bytes, bytes] | None = None) -> Request:
    return read_chat(
        msgspec.json.encode({"model": "auto", "temperature": 0, **body}),
        headers or {},
        tenant=tenant,
        received=time.monotonic(),
        timeout=5,
        keep_sampled=False,
    )


def user(text: object, **more: object) -> dict[str, object]:
    return {"role": "user", "content": text, **more}


def partition(sent: Request) -> bytes:
    asked = asked_of(sent)
    assert asked is not None
    fields = [(name, bytes(value)) for name, value in asked.rest.fields.items()]
    return reply_key(b"s", tenant=sent.tenant, path=sent.path, fields=fields, policy="p", tier=sent.wanted or "")


def test_two_texts_of_one_partition_share_it_and_nothing_else() -> None:
    one, other = (request({"messages": [SYSTEM, user(text)]}) for text in ("how do I swim?", "how can I swim?"))
    assert partition(one) == partition(other)
    first, second = asked_of(one), asked_of(other)
    assert first is not None
    assert second is not None
    assert (first.text, second.text) == ("how do I swim?", "how can I swim?")
    assert b"swim" not in b"".join(map(bytes, first.rest.fields.values()))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [user("hi")]},
        {"messages": [{**SYSTEM, "content": "be long"}, user("hi")]},
        {"messages": [SYSTEM, user("first"), {"role": "assistant", "content": "yes"}, user("hi")]},
        {"messages": [SYSTEM, user("hi", name="anna")]},
        {"messages": [SYSTEM, user("hi")], "max_tokens": 5},
        {"messages": [SYSTEM, user("hi")], "stream": True},
        {"messages": [SYSTEM, user("hi")], "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": [SYSTEM, user("hi")], "response_format": {"type": "json_object"}},
        {"messages": [SYSTEM, user("hi")], "seed": 4},
        {"messages": [SYSTEM, user("hi")], "unheard_of": 1},
        {"messages": [SYSTEM, user("hi")], "model": "large"},
    ],
)
def test_whatever_else_differs_is_another_partition(body: dict[str, object]) -> None:
    assert partition(request(body)) != partition(request({"messages": [SYSTEM, user("hi")]}))


def test_tenants_never_share_a_partition() -> None:
    body: dict[str, object] = {"messages": [SYSTEM, user("hi")]}
    assert partition(request(body, tenant="a")) != partition(request(body, tenant="b"))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [user("hi")], "temperature": 0.7},
        {"messages": [user("hi")], "temperature": None},
        {"messages": [user("hi")], "n": 2},
        {"messages": [user("hi")], "logprobs": True},
        {"messages": [user("hi"), {"role": "assistant", "content": "there"}]},
        {"messages": [user("hi"), {"role": "tool", "content": "x", "tool_call_id": "c"}]},
        {"messages": [SYSTEM]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:,"}}]), user("and now?")]},
        {"messages": [user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])]},
        {"messages": [user(None)]},
        {"messages": [user("x" * MAX_MESSAGES_BYTES)]},
        {"messages": [user("hi")], REST: {}},
    ],
)
def test_what_must_not_be_answered_by_other_words_is_not_looked_up(body: dict[str, object]) -> None:
    assert asked_of(request(body)) is None


def test_a_caller_who_wants_no_kept_reply_gets_none() -> None:
    assert asked_of(request({"messages": [user("hi")]}, headers={b"x-tandem-no-cache": b"1"})) is None


def test_one_part_of_text_is_read_like_text_alone() -> None:
    parts = asked_of(request({"messages": [user([{"type": "text", "text": "hi"}])]}))
    assert parts is not None
    assert parts.text == "hi"


@given(st.text(max_size=60), st.text(max_size=20))
def test_the_text_comes_out_as_it_went_in(text: str, before: str) -> None:
    asked = asked_of(request({"messages": [user(before or "x"), user(text)]}))
    assert asked is not None
    assert asked.text == text
    messages = msgspec.json.decode(bytes(asked.rest.fields["messages"]))
    assert messages == [user(before or "x")]
