"""Tests router/endpoints/stored.py and router/endpoints/storing.py, through a whole gateway."""

import asyncio
import json
from itertools import product
from typing import Any

import httpx2
import pytest

from tests.router.conftest import House, OpenHouse, Served, chat
from tests.router.scripted import COMPLETION, EVENTS

URL = "/v1/chat/completions"
SHOP, DESK = {"authorization": "Bearer a-key-of-the-shop"}, {"authorization": "Bearer a-key-of-the-desk"}
KEYS = [{"tenant": "shop", "key": "a-key-of-the-shop"}, {"tenant": "desk", "key": "a-key-of-the-desk"}]
PARTS = [{"type": "text", "text": "hi"}]


async def store(house: House, identifier: str = "c1", **more: object) -> httpx2.Response:
    """Have a completion with this id stored."""
    house.mini.completion = COMPLETION.replace(b'"c1"', json.dumps(identifier).encode())
    body = {**chat(), "model": "mini", "store": True, **more}
    return await house.client.post(URL, json=body)


async def get(house: House, path: str = "", **query: object) -> Any:
    answer = await house.client.get(URL + path, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_is_to_be_stored_is_found_with_what_was_asked(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await store(house, metadata={"topic": "a"}, temperature=0.5, user="u", seed=7)
        assert answer.headers["x-tandem-stored"] == "true"
        assert answer.content == COMPLETION
        found = await get(house, "/c1")
    assert found == {
        **json.loads(COMPLETION),
        "metadata": {"topic": "a"},
        "request_id": answer.headers["x-request-id"],
        "temperature": 0.5,
        "seed": 7,
        "input_user": "u",
        **dict.fromkeys(
            "tool_choice top_p presence_penalty frequency_penalty service_tier tools response_format".split()
        ),
    }


@pytest.mark.parametrize("more", [{}, {"store": False}, {"store": None}, {"store": "true"}])
async def test_what_is_not_to_be_stored_is_not(open_house: OpenHouse, more: dict[str, object]) -> None:
    async with open_house() as house:
        answer = await house.client.post(URL, json={**chat(), "model": "mini", **more})
        assert "x-tandem-stored" not in answer.headers
        assert (await get(house))["data"] == []
        assert (await house.client.get(f"{URL}/c1")).status_code == 404


async def test_an_answer_in_another_dialect_is_stored_as_what_it_is_alone(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post("/v1/responses", json={"model": "mini", "input": "hi", "store": True})
        assert answer.status_code == 200
        assert (await get(house))["data"] == []


async def test_a_stream_is_stored_as_the_completion_that_it_adds_up_to(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await store(house, stream=True, stream_options={"include_usage": True})
        assert answer.content == b"".join(EVENTS)
        found = await get(house, "/c1")
    assert found["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "hello", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert (found["object"], found["usage"]["total_tokens"]) == ("chat.completion", 14)


async def test_over_our_own_listener_a_stream_is_stored_before_its_end_and_a_broken_one_never(
    serve_house: Served,
) -> None:
    async with serve_house() as house:
        await store(house, stream=True)
        assert (await get(house, "/c1"))["choices"][0]["message"]["content"] == "hello"
        house.mini.events = tuple(event.replace(b'"c1"', b'"c2"') for event in EVENTS[:1] if isinstance(event, bytes))
        with pytest.raises(httpx2.RemoteProtocolError):
            await store(house, stream=True)
        assert [each["id"] for each in (await get(house))["data"]] == ["c1"]


async def test_a_kept_reply_is_stored_for_who_asks_for_it(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}) as house:
        first = await store(house, temperature=0, store=False)
        await asyncio.sleep(0.05)
        again = await store(house, temperature=0)
        assert (first.headers["x-tandem-cache"], again.headers["x-tandem-cache"]) == ("miss", "hit")
        assert (await get(house, "/c1"))["id"] == "c1"


async def test_metadata_is_changed_and_the_rest_is_not(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await store(house, metadata={"topic": "a"})
        before = await get(house, "/c1")
        answer = await house.client.post(f"{URL}/c1", json={"metadata": {"topic": "b", "more": ""}})
        assert answer.json() == {**before, "metadata": {"topic": "b", "more": ""}} == await get(house, "/c1")
        cleared = await house.client.post(f"{URL}/c1", json={"metadata": None})
        assert cleared.json()["metadata"] == {}


async def test_what_is_deleted_is_gone(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await store(house)
        answer = await house.client.delete(f"{URL}/c1")
        assert answer.json() == {"object": "chat.completion.deleted", "id": "c1", "deleted": True}
        for method, path in (("DELETE", "/c1"), ("GET", "/c1"), ("GET", "/c1/messages"), ("POST", "/c1")):
            gone = await house.client.request(method, URL + path, json={"metadata": {}})
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_a_list_is_cut_into_pages_in_both_orders(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for index in range(5):
            await store(house, f"c{index}")
        for order, names in (("asc", "c0 c1 c2 c3 c4"), ("desc", "c4 c3 c2 c1 c0")):
            seen: list[str] = []
            page: dict[str, Any] = {"has_more": True, "last_id": ""}
            while page["has_more"]:
                page = await get(house, limit=2, order=order, after=page["last_id"])
                assert (page["object"], page["first_id"]) == ("list", page["data"][0]["id"])
                seen += [each["id"] for each in page["data"]]
            assert seen == names.split()
        empty: dict[str, object] = {"object": "list", "data": [], "first_id": None, "last_id": None}
        assert await get(house, limit=0) == {**empty, "has_more": True}
        assert await get(house, after="c4") == {**empty, "has_more": False}
        lost = await house.client.get(URL, params={"after": "c9"})
        assert (lost.status_code, lost.json()["error"]["param"]) == (404, "after")


async def test_a_list_is_narrowed_by_model_and_metadata(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await store(house, "plain", model="auto")
        await store(house, "marked", metadata={"topic": "a b&c", "more": "x"})
        assert [each["id"] for each in (await get(house, model="mini"))["data"]] == ["marked"]
        assert [each["id"] for each in (await get(house, **{"metadata[topic]": "a b&c"}))["data"]] == ["marked"]
        assert (await get(house, **{"metadata[topic]": "a b&c", "metadata[more]": "y"}))["data"] == []


async def test_messages_are_listed_with_ids_and_their_parts(open_house: OpenHouse) -> None:
    asked = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": PARTS, "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    async with open_house() as house:
        await store(house, messages=asked)
        page = await get(house, "/c1/messages", limit=2)
        assert page["data"] == [
            {
                "role": "system",
                "content": "be brief",
                "id": "c1-0",
                "name": None,
                "refusal": None,
                "content_parts": None,
            },
            {"role": "user", "content": None, "id": "c1-1", "name": "ada", "refusal": None, "content_parts": PARTS},
        ]
        assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", "c1-0", "c1-1", True)
        rest = await get(house, "/c1/messages", after="c1-1")
        assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (["c1-2"], False)
        back = await get(house, "/c1/messages", order="desc", limit=1)
        assert back["first_id"] == "c1-2"
        assert (await get(house, "/c1/messages", after="after", limit=0))["data"] == []


async def test_another_tenant_s_id_is_answered_like_one_that_never_was(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        house.client.headers.update(SHOP)
        await store(house, metadata={"topic": "a"})
        house.client.headers.update(DESK)
        for method, path in (
            ("GET", "/{}"),
            ("POST", "/{}"),
            ("DELETE", "/{}"),
            ("GET", "/{}/messages"),
            ("GET", "?after={}"),
        ):
            body: dict[str, object] = {"metadata": {}}
            theirs = await house.client.request(method, URL + path.format("c1"), json=body)
            missing = await house.client.request(method, URL + path.format("c2"), json=body)
            assert (theirs.status_code, theirs.text.replace("c1", "c2")) == (404, missing.text)
        assert (await get(house))["data"] == []
        assert (await get(house, **{"metadata[topic]": "a"}))["data"] == []
        await store(house)
        house.client.headers.update(SHOP)
        assert (await get(house, "/c1"))["metadata"] == {"topic": "a"}
        del house.client.headers["authorization"]
        for method, path in (("GET", ""), ("GET", "/c1"), ("POST", "/c1"), ("DELETE", "/c1"), ("GET", "/c1/messages")):
            assert (await house.client.request(method, URL + path)).status_code == 401


@pytest.mark.parametrize(
    "metadata",
    [{"a": 1}, {"a": None}, [], "text", {"a" * 65: "b"}, {"a": "b" * 513}, {f"a{i}": "b" for i in range(17)}],
    ids=lambda value: str(value)[:20],
)
async def test_metadata_that_cannot_be_kept_is_refused_before_anything_is_answered(
    open_house: OpenHouse, metadata: object
) -> None:
    async with open_house() as house:
        answer = await store(house, metadata=metadata)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata")
        assert not house.mini.calls
        assert (await store(house, metadata=metadata, store=False)).status_code == 200
        await store(house)
        changed = await house.client.post(f"{URL}/c1", json={"metadata": metadata})
        assert (changed.status_code, changed.json()["error"]["param"]) == (400, "metadata")


async def test_an_answer_that_has_no_room_is_given_and_says_so(open_house: OpenHouse) -> None:
    async with open_house(stored={"max_bytes_per_tenant": 1 << 20}) as house:
        large = [{"role": "user", "content": "x" * 600_000}]
        assert (await store(house, messages=large)).headers["x-tandem-stored"] == "true"
        full = await store(house, "c2", messages=large)
        assert (full.status_code, full.headers["x-tandem-stored"]) == (200, "false")
        for odd in ("a/b", "", "x" * 257, "a\nb"):  # nobody could ask for it
            unnamed = await store(house, odd)
            assert (unnamed.status_code, unnamed.headers["x-tandem-stored"]) == (200, "false")
        metrics = (await house.client.get("/metrics")).text
    for result, count in (("stored", 1), ("full", 1), ("failed", 4)):
        assert f'tandem_stored_completions_total{{result="{result}"}} {count}.0' in metrics


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=x", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e9", "limit"),
        ("limit=" + "9" * 500, "limit"),
        ("limit=٣", "limit"),
        ("order=up", "order"),
        ("limit=1&limit=2", "limit"),
        ("model=" + "x" * 2_000, "model"),
        ("&".join(f"metadata[a{i}]=b" for i in range(17)), "metadata"),
        ("metadata[a]=" + "b" * 2_000, "metadata"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_question_that_makes_no_sense_is_refused(open_house: OpenHouse, query: str, param: str) -> None:
    async with open_house() as house:
        answer = await house.client.get(f"{URL}?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


ODD = ["%00", "%FF", "%ED%B2%80", "..", "%2e%2e%2fetc", "a/b", "x" * 3_000, "%0d%0a", "'--", "☃", ""]


async def test_no_id_however_odd_is_more_than_not_found(serve_house: Served) -> None:
    async with serve_house() as house:
        for name, (method, below) in product(ODD, (("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/messages"))):
            answer = await house.client.request(method, f"{URL}/{name}{below}", json={"metadata": {}})
            assert answer.status_code in (400, 404, 405, 414), answer.text
            assert answer.json()["error"]["message"]
        for name, field in product(ODD, ("after", "model", "metadata[a]")):
            answer = await house.client.get(f"{URL}?{field}={name}")
            assert answer.status_code in (200, 400, 404, 414), answer.text


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{}", 400), (b"[]", 400), (b'{"metadata":7}', 400), (b"x" * 70_000, 413)]
)
async def test_an_update_that_is_none_is_refused(open_house: OpenHouse, body: bytes, status: int) -> None:
    async with open_house() as house:
        await store(house)
        answer = await house.client.post(f"{URL}/c1", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert (await house.client.post(f"{URL}/c1", content=body)).status_code == 415
