"""router/endpoints/responses/conversations.py, asked by the SDK.

Below it are router/stored/conversations.py and router/endpoints/pages.py; how an answer joins a conversation is in
router/endpoints/responses/dialect.py.
"""

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from router.endpoints.whose import digest_of
from router.stored.sqlite_objects import SqliteObjects
from tests.router.conftest import OpenHouse, Served
from tests.router.endpoints.responses.test_background import ended, sdk
from tests.router.endpoints.responses.test_dialect import ACME, KEYS, LOOK_UP, RIVAL, completion
from tests.router.scripted import EVENTS, Script

PATH = "/v1/conversations"
HELLO: Any = {"role": "user", "content": "I am Ada"}
CALL: Any = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


def said(script: Script) -> list[object]:
    """Return what each message of the last call says."""
    messages: Any = script.body()["messages"]
    return [message.get("content") for message in messages]


async def test_a_conversation_is_made_read_marked_and_erased(serve_house: Served) -> None:
    async with serve_house() as house, sdk(house) as client:
        assert (await client.conversations.create()).metadata == {}
        made = await client.conversations.create(items=[HELLO], metadata={"topic": "a"})
        assert (made.object, made.metadata) == ("conversation", {"topic": "a"})
        assert await client.conversations.retrieve(made.id) == made
        marked = await client.conversations.update(made.id, metadata={"topic": "b"})
        assert marked == made.model_copy(update={"metadata": {"topic": "b"}})
        more = [{"role": "assistant", "content": "hi Ada"}, {"role": "user", "content": "so?", "id": "msg_taken"}]
        added = await client.conversations.items.create(made.id, items=more)
        assert [item.role for item in added.data] == ["assistant", "user"]
        assert (added.first_id, added.last_id, added.has_more) == (added.data[0].id, added.data[1].id, False)
        forth = [item async for item in client.conversations.items.list(made.id, order="asc", limit=1)]
        back = [item async for item in client.conversations.items.list(made.id, limit=2)]
        assert ([item.content[0].text for item in forth], back) == (["I am Ada", "hi Ada", "so?"], forth[::-1])
        assert "msg_taken" not in {item.id for item in forth}
        first = await client.conversations.items.retrieve(forth[0].id, conversation_id=made.id)
        assert first == forth[0]
        assert await client.conversations.items.delete(first.id, conversation_id=made.id) == marked
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.retrieve(first.id, conversation_id=made.id)
        assert (await client.conversations.delete(made.id)).deleted
        for path in ("", "/items", f"/items/{forth[1].id}"):
            assert (await house.client.get(f"{PATH}/{made.id}{path}")).status_code == 404
    assert not house.rows()


async def test_turns_of_a_conversation_follow_each_other_however_they_are_asked_for(serve_house: Served) -> None:
    async with serve_house() as house, sdk(house) as client:
        made = await client.conversations.create(items=[HELLO])
        first = await client.responses.create(model="mini", input="who am I?", conversation=made.id, store=False)
        assert (first.conversation.id, first.store) == (made.id, False)
        assert said(house.mini) == ["I am Ada", "who am I?"]
        stream = await client.responses.create(model="mini", input="b", conversation={"id": made.id}, stream=True)
        assert [event.type async for event in stream][-1] == "response.completed"
        assert said(house.mini) == ["I am Ada", "who am I?", "hello", "b"]
        later = await client.responses.create(model="mini", input="c", conversation=made.id, background=True)
        assert (await ended(client, later.id)).conversation.id == made.id
        house.mini.completion = completion({"content": None, "tool_calls": [CALL]}, "tool_calls")
        await client.responses.create(model="mini", input="d", conversation=made.id, tools=[LOOK_UP])
        taken = (await client.conversations.items.list(made.id, order="asc")).first_id
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42", "id": taken}
        house.mini.completion = completion({"content": "it is 42"})
        await client.responses.create(model="mini", input=[output], conversation=made.id)
        spoken = ["I am Ada", "who am I?", "hello", "b", "hello", "c", "hello", "d", None, "42"]
        assert said(house.mini) == spoken
        counted = await client.responses.input_tokens.count(model="mini", input="x", conversation=made.id)
        assert counted.input_tokens > (await client.responses.input_tokens.count(model="mini", input="x")).input_tokens
        items = [item async for item in client.conversations.items.list(made.id, order="asc")]
        assert len({item.id for item in items}) == len(items) == len(spoken) + 1
        house.mini.events = EVENTS[:1]
        with pytest.raises(openai.APIError):
            [event async for event in await client.responses.create(input="e", conversation=made.id, stream=True)]
        assert len([item async for item in client.conversations.items.list(made.id)]) == len(items)
    digests = {row["conversation_hash"] for row in house.rows()}
    assert digests == {digest_of(made.id.encode(), "default", "conversation")}


async def test_turns_at_once_are_added_one_behind_the_other(open_house: OpenHouse) -> None:
    async with open_house() as house:
        made = (await house.client.post(PATH, json={})).json()
        bodies = [{"model": "mini", "input": f"turn {at}", "conversation": made["id"]} for at in range(8)]
        answers = await asyncio.gather(*[house.client.post("/v1/responses", json=body) for body in bodies])
        assert {answer.status_code for answer in answers} == {200}
        page = (await house.client.get(f"{PATH}/{made['id']}/items", params={"limit": 100})).json()
        roles = [item["role"] for item in page["data"]]
        assert roles == ["assistant", "user"] * 8


async def test_no_tenant_finds_another_one_s_conversation(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        made = (await house.client.post(PATH, json={"items": [HELLO]}, headers=ACME)).json()
        one = f"{PATH}/{made['id']}"
        (item,) = (await house.client.get(f"{one}/items", headers=ACME)).json()["data"]
        for method, path, body in (
            ("GET", one, None),
            ("POST", one, {"metadata": {}}),
            ("DELETE", one, None),
            ("GET", f"{one}/items", None),
            ("POST", f"{one}/items", {"items": [HELLO]}),
            ("GET", f"{one}/items/{item['id']}", None),
            ("DELETE", f"{one}/items/{item['id']}", None),
            ("POST", "/v1/responses", {"model": "mini", "input": "a", "conversation": made["id"]}),
        ):
            lost = await house.client.request(method, path, json=body, headers=RIVAL)
            param = "conversation" if path == "/v1/responses" else "conversation_id"
            assert (lost.status_code, lost.json()["error"]["param"]) == (404, param)
            assert (await house.client.request(method, path, json=body)).status_code == 401
        assert (await house.client.get(one, headers=ACME)).json() == made
        assert (await house.client.get(f"{one}/items", headers=ACME)).json()["data"] == [item]
        assert not house.mini.calls


async def test_what_is_wrong_is_refused_by_its_name(open_house: OpenHouse) -> None:
    async with open_house() as house:
        made = (await house.client.post(PATH, json={})).json()
        one = f"{PATH}/{made['id']}"

        async def refused(path: str, body: object, *, content: bytes | None = None) -> tuple[int, str | None]:
            sent: dict[str, Any] = {"json": body} if content is None else {"content": content}
            answer = await house.client.post(path, headers={"content-type": "application/json"}, **sent)
            return answer.status_code, answer.json()["error"]["param"]

        assert await refused(PATH, {"items": "a"}) == (400, "items")
        assert await refused(PATH, {"items": [HELLO, 5]}) == (400, "items[1]")
        assert await refused(PATH, {"items": [{"role": "king", "content": "a"}]}) == (400, "items[0].role")
        assert await refused(PATH, {"items": [{"type": "web_search_call"}]}) == (400, "items[0].type")
        assert await refused(PATH, {"items": [HELLO] * 21}) == (400, "items")
        assert await refused(PATH, {"metadata": {"a": 1}}) == (400, "metadata")
        assert await refused(PATH, {"items": [{**HELLO, "api_base": "x"}]}) == (400, "items[0].api_base")
        assert await refused(PATH, None, content=b'{"items":' + b"[" * 999) == (400, None)
        assert await refused(PATH, None, content=b"\xff") == (400, None)
        assert await refused(one, {}) == (400, "metadata")
        assert await refused(f"{one}/items", {}) == (400, "items")
        assert await refused(f"{PATH}/{'x' * 300}/items", {"items": [HELLO]}) == (404, "conversation_id")
        for query, param in (("limit=101x", "limit"), ("order=up", "order")):
            answer = await house.client.get(f"{one}/items?{query}")
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        lost = await house.client.get(f"{one}/items?after=nobody")
        assert (lost.status_code, lost.json()["error"]["param"]) == (404, "after")
        assert not house.mini.calls


async def test_a_conversation_whose_items_find_no_room_is_not_left_behind(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[str]()
    delete = SqliteObjects.delete

    async def noted(objects: SqliteObjects, tenant: str, kind: str, identifier: str) -> bool:
        made.append(identifier)
        return await delete(objects, tenant, kind, identifier)

    monkeypatch.setattr(SqliteObjects, "delete", noted)
    async with open_house(stored={"max_bytes_per_tenant": 1 << 20}) as house:
        large = {**HELLO, "content": "x" * (1 << 20)}
        assert (await house.client.post(PATH, json={"items": [large]})).status_code == 507
        (left,) = made
        assert (await house.client.get(f"{PATH}/{left}")).status_code == 404


async def test_an_answer_that_cannot_be_added_says_so_and_is_given(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for more in ({}, {"stream": True}):
            made = (await house.client.post(PATH, json={"items": [HELLO]})).json()
            house.mini.begins_after = 0.1
            body = {"model": "mini", "input": "a", "conversation": made["id"], **more}
            asking = asyncio.create_task(house.client.post("/v1/responses", json=body))
            await asyncio.sleep(0.05)
            assert (await house.client.delete(f"{PATH}/{made['id']}")).status_code == 200
            answer: httpx2.Response = await asking
            last: Any = answer.text.rpartition("data: ")[2] if more else answer.text
            assert '"conversation":null' in last
            assert '"status":"completed"' in last
