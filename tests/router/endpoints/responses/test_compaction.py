"""router/endpoints/responses/compaction.py, asked by the SDK: a long conversation in one item, and on from there."""

from pathlib import Path
from typing import Any

import openai
import pytest

from router.endpoints.wire import MAX_MESSAGES
from router.stored.conversations import MOST_READ, Conversations
from router.stored.sqlite_objects import SqliteObjects
from tests.router.conftest import House, OpenHouse, Served
from tests.router.endpoints.responses.test_background import sdk
from tests.router.endpoints.responses.test_dialect import completion

PATH = "/v1/responses/compact"


async def test_a_conversation_goes_on_from_what_was_made_of_it(serve_house: Served) -> None:
    async with serve_house() as house, sdk(house) as client:
        first = await client.responses.create(model="mini", input="hello")
        made = await client.responses.compact(model="mini", input="and now?", previous_response_id=first.id)
        asked = house.mini.body()["messages"]
        assert isinstance(asked, list)
        assert [message["role"] for message in asked] == ["user", "assistant", "user", "user"]
        assert (made.object, made.usage.input_tokens) == ("response.compaction", 10)
        (item,) = made.output
        await client.responses.create(model="mini", input=[item.model_dump(), {"role": "user", "content": "go on"}])
        assert house.mini.body()["messages"] == [
            {"role": "user", "content": "hello"},
            {"role": "user", "content": "and now?"},
            {"role": "assistant", "content": "What was said and done until here:\nhello"},
            {"role": "user", "content": "go on"},
        ]
        house.mini.completion = completion({"content": "cut"}, "length")
        with pytest.raises(openai.InternalServerError):
            await client.responses.compact(model="mini", input="a")
    assert [row["outcome"] for row in house.rows()] == ["answered", "answered", "answered", "broken"]


async def test_what_is_wrong_is_refused_in_the_caller_s_words(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for body, param in (
            ({"input": 5}, "input"),
            ({"input": "a", "model": 5}, "model"),
            ({"input": "a", "previous_response_id": "none"}, "previous_response_id"),
        ):
            answer = await house.client.post(PATH, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert (await house.client.get(PATH)).status_code == 404  # no response has that name
        assert not house.mini.calls


async def conversation_of(folder: Path, house: House, items: list[dict[str, Any]]) -> str:
    """Return the id of a conversation with these items, which would be many requests."""
    made = (await house.client.post("/v1/conversations", json={})).json()["id"]
    store = SqliteObjects(folder / "ledger-stored.db", retention=1e9, max_per_tenant=1 << 30)
    numbered = [{**item, "id": f"item_{at}"} for at, item in enumerate(items)]
    await Conversations(store).add("default", made, numbered)
    await store.aclose()
    return str(made)


async def error_of(house: House, body: dict[str, Any], path: str = "/v1/responses") -> tuple[int, str, str]:
    answer = await house.client.post(path, json={"model": "mini", "input": "and?", **body})
    told = answer.json()["error"]
    return answer.status_code, told["code"], told["param"]


def message(at: int) -> dict[str, Any]:
    return {"type": "message", "role": "assistant" if at % 2 else "user", "content": f"text {at}"}


@pytest.mark.parametrize("messages", [MAX_MESSAGES, MOST_READ + 1])
async def test_what_is_too_long_to_go_on_from_is_compacted(
    open_house: OpenHouse, tmp_path: Path, messages: int
) -> None:
    too_long = (400, "conversation_too_long")
    async with open_house() as house:
        items = [message(at) for at in range(messages)]
        made = await conversation_of(tmp_path, house, items)
        assert await error_of(house, {"conversation": made}) == (*too_long, "conversation")
        counts = "/v1/responses/input_tokens"
        assert await error_of(house, {"conversation": made}, counts) == (*too_long, "conversation")
        assert await error_of(house, {"conversation": made, "background": True}) == (*too_long, "conversation")
        assert await error_of(house, {"input": [*items[:MAX_MESSAGES], message(1)]}) == (*too_long, "input")
        assert not house.mini.calls
        answer = await house.client.post(PATH, json={"model": "mini", "input": "and?", "conversation": made})
        assert answer.status_code == 200
        asked: Any = house.mini.body()["messages"]
        assert len(asked) == MAX_MESSAGES
        assert asked[0]["content"].startswith("The conversation began so:\n\nuser: text 0\n\nassistant: text 1")
        assert [each["content"] for each in asked[-3:-1]] == [f"text {messages - 1}", "and?"]
        body = {"model": "mini", "input": [*answer.json()["output"], message(0)]}
        assert (await house.client.post("/v1/responses", json=body)).status_code == 200
        asked = house.mini.body()["messages"]
        said = "\n\n".join(each["content"] for each in asked[:-2])
        assert said == "\n\n".join([*(f"text {at}" for at in range(0, messages, 2)), "and?"])
        assert await error_of(house, {"conversation": "conv_none"}, PATH) == (404, "not_found", "conversation")
        both = {"conversation": made, "previous_response_id": "resp_a"}
        assert await error_of(house, both, PATH) == (400, "mutually_exclusive_parameters", "conversation")


async def test_what_was_answered_until_it_was_too_long_is_compacted(open_house: OpenHouse) -> None:
    async with open_house() as house:
        items = [message(at) for at in range(MAX_MESSAGES)]
        first = (await house.client.post("/v1/responses", json={"model": "mini", "input": items})).json()
        chained = {"previous_response_id": first["id"]}
        assert await error_of(house, chained) == (400, "conversation_too_long", "previous_response_id")
        answer = await house.client.post(PATH, json={"model": "mini", "input": "and?", **chained})
        assert answer.status_code == 200


async def test_turns_of_many_calls_are_too_long_before_they_are_many(open_house: OpenHouse, tmp_path: Path) -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "1", "output": "42"}
    async with open_house() as house:
        made = await conversation_of(tmp_path, house, [*[call, output] * 1_020, message(0)])
        assert await error_of(house, {"conversation": made}) == (400, "conversation_too_long", "conversation")
        answer = await house.client.post(PATH, json={"model": "mini", "input": "and?", "conversation": made})
        assert answer.status_code == 200, answer.text
        short = await conversation_of(tmp_path, house, [call, output] * 900)
        body = {"model": "mini", "input": "and?", "conversation": short}
        assert (await house.client.post("/v1/responses", json=body)).status_code == 200
