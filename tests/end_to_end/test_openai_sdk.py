"""The official OpenAI SDK, unchanged but for its base URL, against router/endpoints and real models."""

import asyncio

import httpx2
import openai
import pytest

from backends.engines.desk.questions import Difficulty, unseen
from router.ledger.reading import iter_requests
from tests.end_to_end.conftest import KEYS, Running

QUESTION = next(unseen("sdk", Difficulty.SIMPLE, 1))
MESSAGES = [{"role": "user", "content": QUESTION.text}]


@pytest.fixture
def client(gateway: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEYS["acme"], max_retries=0)


def test_a_simple_question_is_answered_rightly_by_mini(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES, temperature=0)  # type: ignore[arg-type]
    answer = raw.parse()
    assert QUESTION.is_answered_by(answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert raw.headers["x-tandem-tier"] == "mini"
    assert raw.headers["x-tandem-reason"] == "score"
    assert float(raw.headers["x-tandem-cost-usd"]) * 10 == pytest.approx(float(raw.headers["x-tandem-baseline-usd"]))


def test_complex_questions_go_to_large(client: openai.OpenAI) -> None:
    questions = list(unseen("sdk", Difficulty.COMPLEX, 20))
    tiers = []
    for question in questions:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": question.text}], temperature=0
        )
        tiers.append(raw.headers["x-tandem-tier"])
    assert tiers.count("large") >= 19


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_has_usage_only_where_it_was_asked_for(client: openai.OpenAI, include_usage: bool) -> None:  # noqa: FBT001
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = client.chat.completions.create(  # type: ignore[call-overload]
        model="mini", messages=MESSAGES, temperature=0, stream=True, seed=int(include_usage), **options
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert QUESTION.is_answered_by(text)
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = [chunk.usage for chunk in chunks if not chunk.choices]
    assert len(usage) == int(include_usage)
    assert len(chunks) > 3


def test_an_equal_request_is_answered_from_the_cache_byte_for_byte(gateway: Running) -> None:
    body = {"model": "auto", "messages": MESSAGES, "temperature": 0, "stream": True, "seed": 77}
    answers = [
        httpx2.post(
            f"{gateway.url}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {KEYS[tenant]}"},
            trust_env=False,
        )
        for tenant in ("acme", "acme", "rival")
    ]
    assert [answer.headers["x-tandem-cache"] for answer in answers] == ["miss", "hit", "miss"]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["x-tandem-cost-usd"].rstrip("0").rstrip(".") == "0"
    assert float(answers[1].headers["x-tandem-baseline-usd"]) > 0


def test_a_temperature_above_zero_is_never_answered_from_the_cache(client: openai.OpenAI) -> None:
    for _ in range(2):
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=MESSAGES, temperature=0.5, seed=5)  # type: ignore[arg-type]
        assert raw.headers["x-tandem-cache"] == "miss"


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", "auto-economy", "auto-quality", "large", "mini"]
    assert client.models.retrieve("auto").owned_by == "tandem"


def test_errors_arrive_as_the_sdk_s_own_types(gateway: Running, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)  # type: ignore[arg-type]
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="auto", messages=[])
    assert bad.value.param == "messages"
    stranger = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="not-a-key-at-all", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="auto", messages=MESSAGES)  # type: ignore[arg-type]


async def test_a_hundred_callers_at_once_are_each_answered_and_recorded(gateway: Running) -> None:
    before = sum(1 for _ in iter_requests(gateway.ledger))
    questions = list(unseen("many", Difficulty.SIMPLE, 100))
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEYS["acme"], max_retries=0) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="mini", messages=[{"role": "user", "content": question.text}], temperature=0
                )
                for question in questions
            )
        )
    right = [q.is_answered_by(a.choices[0].message.content or "") for q, a in zip(questions, answers, strict=True)]
    assert sum(right) >= 95
    await asyncio.sleep(0.3)
    rows = list(iter_requests(gateway.ledger))
    assert len(rows) == before + 100
    assert all(row["outcome"] is not None for row in rows)
