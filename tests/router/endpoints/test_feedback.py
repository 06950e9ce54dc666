"""Tests router/endpoints/feedback.py in a whole gateway."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from router.endpoints.feedback import MAX_BODY, MAX_COMMENT
from router.ledger.writer import LedgerWriter
from tests.router.conftest import House, OpenHouse, chat
from tests.router.ledger.test_writer import by_hand

CHAT, FEEDBACK = "/v1/chat/completions", "/v1/feedback"
KEYS = [{"tenant": name, "key": f"tk-key-of-{name}-000"} for name in ("acme", "rival")]


def key_of(tenant: str) -> dict[str, str]:
    return {"authorization": f"Bearer tk-key-of-{tenant}-000"}


def ratings(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT request_id, tenant, score, comment FROM ratings").fetchall()


async def ask(house: House, **headers: str) -> str:
    """Return the id that the caller of one request sees."""
    answer = await house.client.post(CHAT, json=chat(), headers=headers)
    request_id: str = answer.headers["x-request-id"]
    return request_id


async def rate(house: House, **body: object) -> httpx2.Response:
    return await house.client.post(FEEDBACK, json=body)


async def test_a_rating_is_kept_and_the_last_one_stands(open_house: OpenHouse) -> None:
    async with open_house() as house:
        request_id = await ask(house)
        answer = await rate(house, request_id=request_id, rating="bad", comment="no such street")
        assert (answer.status_code, answer.json()) == (
            200,
            {"object": "feedback", "request_id": request_id, "score": 0.0},
        )
        assert ratings(house.ledger) == [(request_id, "default", 0.0, "no such street")]
        for _ in range(2):
            await rate(house, request_id=request_id, rating="good")
        await rate(house, request_id=await ask(house), score=0.25)
        figures = (await house.client.get("/metrics")).text
    assert ratings(house.ledger)[0] == (request_id, "default", 1.0, None)
    assert len(ratings(house.ledger)) == 2
    for word, count in (("bad", 1), ("good", 2), ("score", 1)):
        assert f'tandem_ratings_total{{rating="{word}"}} {count}.0' in figures


async def test_the_id_that_the_caller_chose_names_their_latest_request(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for _ in range(2):
            assert await ask(house, **{"x-request-id": "mine"}) == "mine"
        answer = await rate(house, request_id="mine", rating="good")
    newest = max(str(row["id"]) for row in house.rows())
    assert answer.json()["request_id"] == newest
    assert ratings(house.ledger) == [(newest, "default", 1.0, None)]


async def test_another_tenant_s_request_is_like_one_that_never_was(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        theirs = await ask(house, **key_of("acme"), **{"x-request-id": "shared"})
        ours = str(house.rows()[0]["id"])
        answers = [
            await house.client.post(FEEDBACK, json={"request_id": name, "rating": "bad"}, headers=key_of("rival"))
            for name in (theirs, ours, "req_never_was")
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["error"]["code"] == "request_not_found"
        own = await house.client.post(FEEDBACK, json={"request_id": theirs, "rating": "good"}, headers=key_of("acme"))
        assert own.status_code == 200
        assert (await rate(house, request_id=theirs, rating="good")).status_code == 401
    assert [row[1] for row in ratings(house.ledger)] == ["acme"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"rating": "good"}, "missing_required_parameter", "request_id"),
        ({"request_id": "", "rating": "good"}, "invalid_value", "request_id"),
        ({"request_id": "x" * 129, "rating": "good"}, "invalid_value", "request_id"),
        ({"request_id": 7, "rating": "good"}, "invalid_type", "request_id"),
        ({"request_id": "x"}, "invalid_value", "rating"),
        ({"request_id": "x", "rating": "good", "score": 1}, "invalid_value", "rating"),
        ({"request_id": "x", "rating": "great"}, "invalid_value", "rating"),
        ({"request_id": "x", "score": 1.5}, "invalid_value", "score"),
        ({"request_id": "x", "score": -0.1}, "invalid_value", "score"),
        ({"request_id": "x", "score": True}, "invalid_type", "score"),
        ({"request_id": "x", "score": "1"}, "invalid_type", "score"),
        ({"request_id": "x", "rating": "good", "comment": "x" * (MAX_COMMENT + 1)}, "invalid_value", "comment"),
        ({"request_id": "x", "rating": "good", "coment": "x"}, "invalid_value", None),
        ([], "invalid_type", None),
    ],
)
async def test_a_body_that_is_none_is_refused_with_what_is_wrong(
    body: object, code: str, param: str | None, open_house: OpenHouse
) -> None:
    async with open_house() as house:
        answer = await house.client.post(FEEDBACK, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"request_id":"x","rating":"good","rating":"bad"}', 400),
        (b'{"request_id":"x","score":NaN}', 400),
        (b'{"request_id":"x","score":1e999}', 400),
        (b'{"request_id":"\\ud800","rating":"good"}', 400),
        (b'{"request_id":"\xff","rating":"good"}', 400),
        (b" " * (MAX_BODY + 1), 413),
    ],
)
async def test_bytes_that_are_no_body_are_refused(content: bytes, status: int, open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(FEEDBACK, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        wrong = await house.client.post(FEEDBACK, content=content, headers={"content-type": "text/plain"})
        assert wrong.status_code == 415
        assert (await house.client.get(FEEDBACK)).status_code == 405


async def test_odd_but_legal_text_is_kept_as_it_is(open_house: OpenHouse) -> None:
    odd = "\u0000 '); DROP TABLE ratings; -- \u202e\u4e2d\U0001f600"
    async with open_house() as house:
        request_id = await ask(house)
        assert (await rate(house, request_id=request_id, rating="bad", comment=odd)).status_code == 200
        assert (await rate(house, request_id=odd, rating="bad")).status_code == 404
    assert ratings(house.ledger) == [(request_id, "default", 0.0, odd)]


async def test_a_ledger_that_cannot_be_written_is_said(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[LedgerWriter]()
    wake = LedgerWriter._wake

    def seen(self: LedgerWriter) -> None:
        opened.append(self)
        wake(self)

    monkeypatch.setattr(LedgerWriter, "_wake", seen)
    async with open_house() as house:
        request_id = await ask(house)
        by_hand(opened[0]).execute("PRAGMA query_only=ON")
        answer = await rate(house, request_id=request_id, rating="good")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger_unavailable")
        assert answer.headers["retry-after"] == "1"
        by_hand(opened[0]).execute("PRAGMA query_only=OFF")
        assert (await rate(house, request_id=request_id, rating="good")).status_code == 200


def signals(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT request_id, kind, value, source, repeats FROM signals ORDER BY kind"
        ).fetchall()


async def test_a_signal_is_kept_and_a_later_one_takes_its_place_and_is_counted(open_house: OpenHouse) -> None:
    async with open_house() as house:
        request_id = await ask(house)
        answer = await rate(house, request_id=request_id, kind="thumb", value="up")
        assert answer.status_code == 200
        assert answer.json() == {
            "object": "feedback", "request_id": request_id, "kind": "thumb", "value": 1.0, "source": "user",
        }  # fmt: skip
        await rate(house, request_id=request_id, kind="thumb", value=-1)
        await rate(house, request_id=request_id, kind="escalate")
        await rate(house, request_id=request_id, kind="label", value=0.5)
        figures = (await house.client.get("/metrics")).text
    assert signals(house.ledger) == [
        (request_id, "escalate", 1.0, "user", 0),
        (request_id, "label", 0.5, "human", 0),
        (request_id, "thumb", 0.0, "user", 1),
    ]
    assert 'tandem_ratings_total{rating="thumb"} 2.0' in figures


async def test_a_signal_about_another_tenant_s_request_is_unknown(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        theirs = await ask(house, **key_of("acme"))
        body = {"request_id": theirs, "kind": "escalate"}
        assert (await house.client.post(FEEDBACK, json=body, headers=key_of("rival"))).status_code == 404
        assert (await house.client.post(FEEDBACK, json=body, headers=key_of("acme"))).status_code == 200
    assert len(signals(house.ledger)) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"kind": "label", "value": 1.5}, "value"),
        ({"kind": "label"}, "value"),
        ({"kind": "praise"}, "kind"),
        ({"value": 1}, "kind"),
        ({"kind": "thumb", "value": "up", "rating": "good"}, "kind"),
        ({"kind": "escalate", "source": "bot"}, "source"),
    ],
)
async def test_a_signal_that_is_none_is_refused(body: dict[str, object], param: str, open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await rate(house, request_id="x", **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
