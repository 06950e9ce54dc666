"""Tests of backends/history/roles.py."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from backends.history.roles import FIRST_WORDS, alternating

Fields = dict[str, Any]


def joined(*messages: Fields) -> list[Fields]:
    raw = msgspec.json.decode(json.dumps(messages).encode(), type=list[dict[str, Raw]])
    found: list[Fields] = json.loads(msgspec.json.encode(alternating(raw)))
    return found


def said(role: str, content: Any, **more: Any) -> Fields:
    return {"role": role, "content": content, **more}


def test_neighbours_of_one_role_are_joined() -> None:
    assert joined(said("user", "a"), said("user", "b"), said("assistant", "c")) == [
        said("user", "a\n\nb"),
        said("assistant", "c"),
    ]
    part = {"type": "image_url", "image_url": {"url": "data:,"}}
    both = joined(said("user", "a"), said("user", [part]))[0]["content"]
    assert both == [{"type": "text", "text": "a"}, part]


def test_calls_of_joined_turns_are_all_there() -> None:
    one, other = {"id": "1"}, {"id": "2"}
    found = joined(
        said("user", "a"),
        said("assistant", None, tool_calls=[one]),
        said("assistant", None, tool_calls=[other]),
        {"role": "assistant", "tool_calls": None},
    )
    assert found[1] == said("assistant", None, tool_calls=[one, other])


def test_the_system_is_heard_first_and_later_by_the_users_voice() -> None:
    found = joined(said("system", "a"), said("system", "b"), said("user", "c"), said("system", "d"))
    assert found == [said("system", "a\n\nb"), said("user", "c\n\nd")]


def test_the_user_begins() -> None:
    assert joined(said("system", "s"), said("assistant", "a")) == [
        said("system", "s"),
        said("user", FIRST_WORDS),
        said("assistant", "a"),
    ]


def test_results_of_tools_stay_apart() -> None:
    results = [said("tool", "1", tool_call_id="x"), said("tool", "2", tool_call_id="y")]
    assert joined(said("user", "a"), said("assistant", "b"), *results)[2:] == results


_MESSAGES = st.lists(
    st.builds(said, st.sampled_from(["system", "user", "assistant"]), st.none() | st.text(max_size=3)), max_size=10
)


@settings(max_examples=40, deadline=None)
@given(_MESSAGES)
def test_whatever_comes_alternates_and_nothing_is_lost(messages: list[Fields]) -> None:
    found = joined(*messages)
    roles = [message["role"] for message in found]
    assert "system" not in roles[1:]
    turns = [role for role in roles if role != "system"]
    assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"] * (len(turns) % 2)
    words = "".join(message["content"] or "" for message in found).replace(FIRST_WORDS, "").replace("\n\n", "")
    assert words == "".join(message["content"] or "" for message in messages).replace("\n\n", "")
    assert joined(*found) == found
