"""Tests router/endpoints/models.py and router/endpoints/identified.py, through a whole gateway."""

from tests.router.conftest import OpenHouse, chat

KEY = "a-key-of-the-shop"
KEYS = [{"tenant": "shop", "key": KEY}]


async def test_each_name_is_listed_and_found(open_house: OpenHouse) -> None:
    async with open_house(models={"aliases": {"openai/gpt-4o": "auto"}}) as house:
        listed = (await house.client.get("/v1/models")).json()
        assert listed["object"] == "list"
        names = [model["id"] for model in listed["data"]]
        assert names == ["auto", "auto-economy", "auto-quality", "large", "mini", "openai/gpt-4o"]
        for model in listed["data"]:
            assert (await house.client.get(f"/v1/models/{model['id']}")).json() == model
            assert model["object"] == "model"
        missing = await house.client.get("/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_alias_is_answered_as_what_it_stands_for(open_house: OpenHouse) -> None:
    async with open_house(models={"aliases": {"gpt-4o-mini": "mini", "gpt-4o": "auto-quality"}}) as house:
        answer = await house.client.post("/v1/chat/completions", json={**chat(), "model": "gpt-4o-mini"})
        assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "asked")
        assert house.mini.body()["model"] == "small"
        leaning = await house.client.post("/v1/route", json={**chat(), "model": "gpt-4o"})
        plain = await house.client.post("/v1/route", json=chat())
        assert leaning.json()["threshold"] == plain.json()["threshold"] / 2


async def test_whoever_needs_a_key_needs_it_here(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        for path in ("/v1/models", "/v1/models/auto"):
            refused = await house.client.get(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
            assert (await house.client.get(path, headers={"authorization": f"Bearer {KEY}"})).status_code == 200


async def test_every_answer_has_a_request_id(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/nothing"),
            ("PUT", "/v1/models"),
            ("GET", "/healthz"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/embeddings"),
            ("POST", "/v1/completions"),
        ):
            minted = [(await house.client.request(method, path)).headers["x-request-id"] for _ in range(2)]
            assert len(set(minted)) == 2, path
            echoed = await house.client.request(method, path, headers={"x-request-id": "mine-1"})
            assert echoed.headers.get_list("x-request-id") == ["mine-1"], path
