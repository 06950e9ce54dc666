"""Tests router/stalled.py, alone and in the pipeline."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.endpoints.wire import read_chat
from router.stalled import TURNS, looks_like_an_error
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
ASK = {"role": "user", "content": "find the lamp"}
Messages = list[dict[str, Any]]


def step(arguments: object = '{"q": "lamp"}', result: object = "nothing", *, name: str = "search") -> Messages:
    """Return one call and its answer."""
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]


OLDER: Messages = [
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    {"role": "function", "name": "f", "content": "none"},
]


def is_stalled(messages: Messages) -> bool:
    """Return what parsing makes of the messages."""
    body = json.dumps(chat(messages=messages)).encode()
    return read_chat(body, {}, tenant="", received=0.0, timeout=1.0, keep_sampled=False).stalled


STALLED: dict[str, Messages] = {
    "the same call with the same result": [ASK, *step(), *step()],
    "the same arguments in another spelling": [ASK, *step('{"q":"lamp","n":1}'), *step('{"n": 1, "q": "lamp"}')],
    "arguments as an object": [ASK, *step({"q": "lamp"}), *step()],
    "arguments that are no JSON": [ASK, *step("lamp  one"), *step("lamp one")],
    "no arguments at all": [ASK, *step(None), *step(None)],
    "with another call between": [ASK, *step(), *step('{"q": "desk"}'), *step()],
    "a third time, whatever came of it": [ASK, *step(result="1"), *step(result="2"), *step(result="3")],
    "and then the user goes on": [ASK, *step(), *step(), {"role": "user", "content": "continue"}],
    "with results as parts": [ASK, *step(result=[{"type": "text", "text": "a"}]), *step(result="a")],
    "functions of the older kind": [ASK, *OLDER, *OLDER],
    "two errors in a row": [ASK, *step(result="Error: no such table"), *step('{"q": "desk"}', "Error: timed out")],
    "two errors of one turn": [
        ASK,
        *step(result='{"error": "not found"}'),
        {"role": "tool", "tool_call_id": "d", "content": "错误：文件不存在"},
    ],
}

GETS_ON: dict[str, Messages] = {
    "no tool": [ASK],
    "one call": [ASK, *step()],
    "other arguments": [ASK, *step(), *step('{"q": "desk"}')],
    "another tool": [ASK, *step(), *step(name="browse")],
    "the same call with another result": [ASK, *step(result="2 tests failed?"), *step(result="all passed")],
    "one error": [ASK, *step(result="fine"), *step('{"q": "desk"}', "Error: timed out")],
    "an error that was overcome": [
        ASK,
        *step(result="Error: x"),
        *step('{"q": 1}', "Error: x"),
        *step('{"q": 2}', "ok"),
    ],
    "long ago": [ASK, *step(), *[m for i in range(TURNS) for m in step(json.dumps({"q": i}), str(i))], *step()],
    "the agent has answered since": [
        ASK,
        *step(),
        *step(),
        {"role": "assistant", "content": "I could not find it."},
        {"role": "user", "content": "thanks"},
        {"role": "assistant", "content": "You are welcome."},
        {"role": "user", "content": "what is 2 + 2?"},
    ],
    "calls of no known shape": [ASK, *[{"role": "assistant", "tool_calls": c} for c in ([1], "x", {"a": 1}, [None])]],
}


@pytest.mark.parametrize("case", STALLED)
def test_an_agent_who_does_not_get_on_is_recognised(case: str) -> None:
    assert is_stalled(STALLED[case])


@pytest.mark.parametrize("case", GETS_ON)
def test_an_agent_who_gets_on_is_left_alone(case: str) -> None:
    assert not is_stalled(GETS_ON[case])


@pytest.mark.parametrize(
    "answer",
    [
        "Error: file not found",
        "Traceback (most recent call last):\n  File 'x'\nKeyError: 'a'",
        "lots of output\n" * 200 + "ValueError: bad literal",
        "exit code: 1\nsome output",
        "Exited with code 127",
        "bash: foo: command not found",
        "HTTP/1.1 500 Internal Server Error",
        "request failed with status code 503",
        "3 failed, 7 passed",
        "<error>bad</error>",
        "执行失败",
        "发生异常：连接超时",
        "无法连接到服务器",
        '{"error": "x"}',
        '{"status": "error", "data": []}',
        '{"exit_code": 2, "stdout": ""}',
        '{"success": false}',
    ],
)
def test_an_error_is_told(answer: str) -> None:
    assert looks_like_an_error(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "ok",
        "0 errors, 0 warnings",
        "No errors found.",
        "exit code: 0",
        "10 passed in 0.2s",
        "没有错误",
        "错误率为0",
        "The error handling guide says: retry.",
        "def handle_error(x):\n    raise x",
        '{"error": null, "result": 3}',
        '{"errors": [], "exit_code": 0, "success": true}',
        '{"lamps": [{"name": "Error lamp"}]}',
        "{not: json}",
        '{"a":' * 5_000 + "1" + "}" * 5_000,
    ],
)
def test_what_merely_speaks_of_errors_is_none(answer: str) -> None:
    assert not looks_like_an_error(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["function", "name", "arguments", "id"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["assistant", "tool", "function", "user"]), JSON, JSON), max_size=8))
def test_calls_of_any_shape_are_survived(parts: list[tuple[str, object, object]]) -> None:
    is_stalled(
        [
            ASK,
            *(
                {"role": role, "tool_calls": calls, "function_call": call, "tool_call_id": "c"}
                for role, calls, call in parts
            ),
        ]
    )


async def test_a_stalled_agent_goes_to_large_unless_a_tier_was_named(open_house: OpenHouse) -> None:
    messages = STALLED["the same call with the same result"]
    async with open_house(policy={"use": "threshold", "threshold": 1.0}) as house:
        answer = await house.client.post(CHAT, json=chat(messages=messages))
        named = await house.client.post(CHAT, json=chat(messages=messages, model="mini"))
        moving = await house.client.post(CHAT, json=chat(messages=GETS_ON["one call"]))
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "stalled")
    assert "x-tandem-score" not in answer.headers
    assert (named.headers["x-tandem-tier"], named.headers["x-tandem-reason"]) == ("mini", "asked")
    assert (moving.headers["x-tandem-tier"], moving.headers["x-tandem-reason"]) == ("mini", "score")
