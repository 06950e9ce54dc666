"""Tests router/endpoints/embeddings.py, through a whole gateway."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from backends.base import ConnectFailed, Rejected
from router.ledger.reading import read_window
from router.ledger.views import Window
from tests.router.conftest import OpenHouse, chat, config_of
from tests.router.embedder import NAME, VECTORS
from tests.router.scripted import SCRIPTS

URL = "/v1/embeddings"
INPUT = "The quick brown fox"
EMBEDDER = {"use": "tests.router.embedder:EmbedderOptions"}


def parts(folder: Path, **more: object) -> dict[str, Any]:
    backends = config_of(folder).backends.model_dump()
    aliases = {"aliases": {"text-embedding-3-small": "embeddings"}}
    return {"backends": {**backends, "embeddings": EMBEDDER}, "models": aliases, **more}


async def post(house: Any, **body: object) -> httpx2.Response:
    answer: httpx2.Response = await house.client.post(URL, json={"model": "embeddings", "input": INPUT, **body})
    return answer


async def test_a_body_goes_out_as_it_came_but_for_the_model_and_comes_back_unchanged(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    more = {"encoding_format": "base64", "dimensions": 2, "user": "u", "task": {"novelty": [1.50]}}
    async with open_house(**parts(tmp_path)) as house:
        answer = await post(house, model="text-embedding-3-small", **more)
        (call,) = SCRIPTS[NAME].calls
        assert (call.path, call.stream) == ("/embeddings", False)
        assert SCRIPTS[NAME].body() == {"model": "bge-m3", "input": INPUT, **more}
    assert (answer.status_code, answer.content) == (200, VECTORS)
    assert answer.headers["x-tandem-model"] == "bge-m3"
    assert answer.headers["x-request-id"]


async def test_each_request_leaves_one_record_with_what_it_took(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house(**parts(tmp_path)) as house:
        assert (await post(house)).status_code == 200
        SCRIPTS[NAME].failures = [ConnectFailed("away")]
        assert (await post(house)).status_code == 503
        SCRIPTS[NAME].failures = [Rejected(400, b'{"error":{"message":"too long"}}', "application/json")]
        assert (await post(house)).json() == {"error": {"message": "too long"}}
        metrics = (await house.client.get("/metrics")).text
    rows = house.rows()
    assert [row["outcome"] for row in rows] == ["answered", "failed", "rejected"]
    assert [(row["tier"], row["policy"]) for row in rows] == [("embeddings", "explicit@embeddings")] * 3
    assert rows[0]["cost"] == rows[0]["baseline"] == 350  # 7 tokens of desk-mini, at 50 nano-USD each
    assert 'tandem_tokens_total{bucket="fresh_input",tier="embeddings"} 7.0' in metrics


async def test_the_dashboard_speaks_of_routing_alone(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house(**parts(tmp_path)) as house:
        await post(house)
        await house.client.post("/v1/chat/completions", json=chat())
        assert (await house.client.get("/dashboard")).status_code == 200
    reading = read_window(house.ledger, Window(start=0.0, width=86_400 * 30_000, buckets=1, now=2e9), latest=10)
    assert len(reading.latest) == 1
    assert sum(total.requests for total in reading.totals) == 1


@pytest.mark.parametrize("given", ["text", ["a", "b"], [1, 2, 3], [[1, 2], [3]], ["", "b"]])
async def test_text_and_token_ids_pass_alone_or_in_lists(open_house: OpenHouse, tmp_path: Path, given: object) -> None:
    async with open_house(**parts(tmp_path)) as house:
        assert (await post(house, input=given)).status_code == 200
        assert SCRIPTS[NAME].body()["input"] == given


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": None}, "invalid_type", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": [True]}, "invalid_type", "input[0]"),
        ({"input": [-1]}, "invalid_value", "input[0]"),
        ({"input": [[1.5]]}, "invalid_type", "input[0][0]"),
        ({"input": ["a"] * 2_049}, "invalid_value", "input"),
        ({"input": [list(range(1_000))] * 301}, "invalid_value", "input"),
        ({"encoding_format": "xml"}, "invalid_value", "encoding_format"),
        ({"dimensions": 0}, "invalid_value", "dimensions"),
        ({"model": "auto"}, "model_not_found", "model"),
        ({"model": 7}, "invalid_type", "model"),
        ({"api_base": "http://elsewhere"}, "parameter_not_allowed", "api_base"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_embedded_is_refused_and_not_recorded(
    open_house: OpenHouse, tmp_path: Path, body: dict[str, object], code: str, param: str
) -> None:
    async with open_house(**parts(tmp_path)) as house:
        answer = await post(house, **body)
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert answer.status_code in (400, 404)
        assert answer.headers["x-request-id"]
        assert not SCRIPTS[NAME].calls
    assert house.rows() == []


async def test_where_nothing_embeds_the_model_does_not_exist(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await post(house)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "backends.embeddings" in answer.json()["error"]["message"]


async def test_a_header_that_names_a_tier_changes_nothing(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house(**parts(tmp_path)) as house:
        answer = await house.client.post(
            URL, json={"model": "embeddings", "input": INPUT}, headers={"x-tandem-tier": "large"}
        )
        assert answer.status_code == 200
        assert not house.large.calls
