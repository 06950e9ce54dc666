"""Whole conversations through the gateway, with the shipped weights: router/pipeline.py, router/endpoints/wire.py.

What a turn of agreement stands for, and that no shape of messages is too much.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from backends.engines.desk.questions import Difficulty, Question, unseen
from router.base import BadRequest
from router.endpoints.wire import read_chat
from tests.router.conftest import OpenHouse, chat

CHAT, ROUTE = "/v1/chat/completions", "/v1/route"
SHIPPED = {"classifier": {"use": "linear", "weights": "desk"}, "policy": {"use": "threshold"}}
AGREEMENTS = {
    "en": ("yes, do it", "ok", "go ahead", "continue"),
    "zh": ("继续", "是的，就这样", "好的", "可以，开始吧"),
}
OFFERS = {"en": "Shall I look that up for you?", "zh": "要我帮您查一下吗？"}
Messages = list[dict[str, Any]]


def user(content: object) -> dict[str, Any]:
    """Return a message of the user."""
    return {"role": "user", "content": content}


def assistant(content: object) -> dict[str, Any]:
    """Return a message of the assistant."""
    return {"role": "assistant", "content": content}


def agreed(question: Question, agreement: str) -> Messages:
    """Return a conversation in which the user wants the offered answer to a question."""
    return [user(question.text), assistant(OFFERS[question.language]), user(agreement)]


def proposed(question: Question, agreement: str) -> Messages:
    """Return a conversation in which the assistant proposes to work on a question."""
    return [user({"en": "Hello!", "zh": "你好！"}[question.language]), assistant(question.text), user(agreement)]


async def test_agreement_goes_where_what_is_agreed_to_goes(open_house: OpenHouse) -> None:
    hard = list(unseen("agreement", Difficulty.COMPLEX, 10))
    easy = list(unseen("agreement", Difficulty.SIMPLE, 10))
    async with open_house(**SHIPPED) as house:

        async def tier_of(messages: Messages) -> str:
            answer = await house.client.post(ROUTE, json=chat(messages=messages))
            assert answer.json()["reason"] == "score"
            return str(answer.json()["tier"])

        for question in (*hard, *easy):
            alone = await tier_of([user(question.text)])
            assert alone == ("large" if question in hard else "mini")
            for agreement in AGREEMENTS[question.language]:
                for talk in (agreed(question, agreement), proposed(question, agreement)):
                    assert await tier_of(talk) == alone, talk


@pytest.mark.parametrize(
    "messages",
    [
        [user("Hello!"), assistant("Hello! How are you?"), user("yes")],
        [user("Thank you!"), assistant("You are welcome. Have a nice day!"), user("ok")],
        [user("你好"), assistant("你好！很高兴认识您。"), user("好的")],
        [user("谢谢"), assistant("不客气，祝您愉快！"), user("是的，就这样")],
    ],
)
async def test_agreement_after_small_talk_stays_with_mini(open_house: OpenHouse, messages: Messages) -> None:
    async with open_house(**SHIPPED) as house:
        answer = await house.client.post(CHAT, json=chat(messages=messages))
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "score")


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
WORDLESS: dict[str, dict[str, object]] = {
    "an empty prompt": chat(""),
    "blanks": chat(" \n\t 　"),
    "content null": chat(messages=[user(None)]),
    "no content": chat(messages=[{"role": "user"}]),
    "no parts": chat(messages=[user([])]),
    "an empty part": chat(messages=[user([{"type": "text", "text": ""}])]),
    "only images": chat(messages=[user([IMAGE, IMAGE])]),
    "only sound": chat(messages=[user([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}])]),
    "only tools": chat(messages=[user("")], tools=[{"type": "function", "function": {"name": "f"}}]),
    "only tool calls": chat(messages=[{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}]),
    "only a refusal": chat(messages=[assistant([{"type": "refusal", "refusal": "no"}])]),
    "only parts of tomorrow": chat(messages=[user([{"type": "smell", "smell": {"of": "roses"}}])]),
    "only instructions": chat(messages=[{"role": "developer", "content": "be brief"}, user("")]),
}


@pytest.mark.parametrize("case", WORDLESS)
async def test_where_there_is_nothing_to_score_the_default_tier_answers(open_house: OpenHouse, case: str) -> None:
    async with open_house(**SHIPPED) as house:
        answer = await house.client.post(CHAT, json=WORDLESS[case])
    assert answer.status_code == 200
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "default")
    assert "x-tandem-score" not in answer.headers


async def test_a_question_beside_a_picture_is_scored(open_house: OpenHouse) -> None:
    async with open_house(**SHIPPED) as house:
        answer = await house.client.post(CHAT, json=chat(messages=[user([IMAGE, {"type": "text", "text": "why?"}])]))
    assert answer.headers["x-tandem-reason"] == "score"


async def test_a_prompt_of_ten_megabytes_is_decided_on(open_house: OpenHouse) -> None:
    async with open_house(server={"max_body_bytes": 40 << 20}, **SHIPPED) as house:
        for text in ("a long story " * 800_000, "很长的故事" * 700_000, " " * 10_000_000):
            answer = await house.client.post(CHAT, json=chat(text))
            assert answer.status_code == 200
            assert answer.headers["x-tandem-reason"] == ("score" if text.strip() else "default")


PART = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)}),
    st.fixed_dictionaries({"type": st.sampled_from(["image_url", "input_audio", "file", "refusal", "of tomorrow"])}),
    st.fixed_dictionaries({"type": st.text(max_size=3)}, optional={"text": st.none(), "x": st.integers(-9, 9)}),
)
ARGUMENTS: st.SearchStrategy[object] = st.sampled_from(["{}", "", "[", None, {}])
TEXT = st.text(max_size=12) | st.sampled_from(["yes", "Error: x"])
CALL = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.lists(
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {"function": st.fixed_dictionaries({"name": st.sampled_from("fg"), "arguments": ARGUMENTS})}
            ),
        ),
        max_size=3,
    ),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])},
    optional={
        "content": st.none() | TEXT | st.lists(PART, max_size=3),
        "name": st.one_of(st.none(), st.text(max_size=3), st.integers(-9, 9)),
        "tool_calls": CALL,
        "function_call": st.one_of(st.none(), st.integers(-9, 9), st.fixed_dictionaries({"name": st.just("f")})),
        "tool_call_id": st.one_of(st.none(), st.text(max_size=3)),
        "refusal": st.none() | st.text(max_size=3),
    },
).map(lambda message: {**message, "tool_call_id": "c"} if message["role"] == "tool" else message)


MORE = st.sampled_from([{}, {"tools": []}, {"response_format": []}, {"response_format": {"type": []}}, {"logprobs": 1}])


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],  # to shorten a failure would open thousands of gateways
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.lists(MESSAGE, min_size=1, max_size=7), MORE), min_size=12, max_size=12))
async def test_any_shape_of_messages_gets_a_decision(
    open_house: OpenHouse, bodies: list[tuple[Messages, dict[str, object]]]
) -> None:
    async with open_house(**SHIPPED) as house:
        for messages, more in bodies:
            answer = await house.client.post(CHAT, json={**chat(messages=messages), **more})
            assert answer.status_code == 200, messages
            assert answer.headers["x-tandem-reason"] in ("score", "default", "stalled")


@pytest.mark.parametrize("content", [3, {"type": "text"}, ["hi"], [{"text": "hi"}], [{"type": "text", "text": 3}]])
def test_content_that_is_none_is_refused_with_its_place(content: object) -> None:
    body = json.dumps(chat(messages=[user(content)])).encode()
    with pytest.raises(BadRequest) as refused:
        read_chat(body, {}, tenant="", received=0.0, timeout=1.0, keep_sampled=False)
    assert str(refused.value.param).startswith("messages[")
