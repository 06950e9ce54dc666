"""router/endpoints/responses/compaction.py, asked by the SDK: a long conversation in one item, and on from there."""

import openai
import pytest

from tests.router.conftest import OpenHouse, Served
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
