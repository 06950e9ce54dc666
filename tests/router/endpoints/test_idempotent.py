"""Tests of router/endpoints/idempotent.py around the whole application."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from backends.base import Broken, Overloaded, Rejected, StreamBroken
from router.app import Tandem
from router.endpoints.idempotent import Idempotent
from router.guards.keys import Keys
from router.ledger.reading import iter_requests
from router.stored.first_answers import FirstAnswers
from tests.router.conftest import chat, config_of
from tests.router.scripted import COMPLETION, EVENTS, SCRIPTS, Script

CHAT = "/v1/chat/completions"
KEY = {"idempotency-key": "order-66"}
ONE, OTHER = "0123456789abcdef", "fedcba9876543210"
MINI = {"use": "explicit", "tier": "mini"}


@dataclass
class House:
    """An application with idempotency keys, and what it says of itself."""

    client: httpx2.AsyncClient
    around: Idempotent
    folder: Path

    @property
    def mini(self) -> Script:
        return SCRIPTS["mini"]

    def rows(self) -> list[dict[str, object]]:
        return [dict(row) for row in iter_requests(self.folder / "ledger.db")]


@asynccontextmanager
async def house(folder: Path, **more: object) -> AsyncGenerator[House]:
    config = config_of(folder, **{"policy": MINI, **more})
    app = Tandem(config)
    async with app.running():
        answers = FirstAnswers(folder / "first.db")
        around = Idempotent(app, answers, Keys(config.keyring), max_body=1 << 20)
        transport = httpx2.ASGITransport(around, raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as client:
            yield House(client, around, folder)
        await answers.aclose()


async def test_the_first_answer_is_given_again_with_what_it_said_of_itself(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        first = await served.client.post(CHAT, json=chat(), headers=KEY)
        again = await served.client.post(CHAT, json=chat(), headers={**KEY, "x-request-id": "mine"})
        assert (first.content, again.content) == (COMPLETION, COMPLETION)
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["x-request-id"] == "mine"
        for name in ("content-type", "content-length", "x-tandem-tier", "x-tandem-cost-usd"):
            assert again.headers[name] == first.headers[name]
        assert "x-tandem-overhead-ms" not in again.headers
        assert len(served.mini.calls) == 1
        assert served.around.results == {"new": 1, "stored": 1, "kept": 1}
    assert len(served.rows()) == 1


async def test_without_a_key_nothing_is_kept_and_other_paths_pass(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        for _ in range(2):
            await served.client.post(CHAT, json=chat())
        assert (await served.client.get("/healthz", headers=KEY)).status_code == 200
        assert (await served.client.post("/v1/route", json=chat(), headers=KEY)).status_code == 200
        assert len(served.mini.calls) == 2
        assert not served.around.results


async def test_a_stream_is_given_again_byte_for_byte(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        bodies = [await served.client.post(CHAT, json=chat(stream=True), headers=KEY) for _ in range(2)]
        assert bodies[0].content == bodies[1].content == EVENTS[0] + EVENTS[1] + EVENTS[3]
        assert bodies[1].headers["content-type"].startswith("text/event-stream")
        assert len(served.mini.calls) == 1


async def test_another_body_or_another_path_under_a_key_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        await served.client.post(CHAT, json=chat(), headers=KEY)
        for path, body in ((CHAT, chat("else")), ("/v1/completions", chat())):
            answer = await served.client.post(path, json=body, headers=KEY)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "idempotency_key_reused")
        assert len(served.mini.calls) == 1


async def test_of_two_at_once_one_is_answered_and_the_other_told_to_come_again(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        served.mini.begins_after = 0.1
        asked = [served.client.post(CHAT, json=chat(), headers=KEY) for _ in range(5)]
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
        waits = [answer for answer in answers if answer.status_code == 409]
        assert {answer.json()["error"]["code"] for answer in waits} == {"idempotency_key_in_use"}
        assert {answer.headers["retry-after"] for answer in waits} == {"2"}
        assert (await served.client.post(CHAT, json=chat(), headers=KEY)).status_code == 200
        assert len(served.mini.calls) == 1


async def test_one_tenants_key_never_meets_anothers(tmp_path: Path) -> None:
    keys = [{"tenant": "one", "key": ONE}, {"tenant": "other", "key": OTHER}]
    async with house(tmp_path, keys=keys) as served:
        for key in (ONE, OTHER):
            head = {**KEY, "authorization": f"Bearer {key}"}
            answer = await served.client.post(CHAT, json=chat(), headers=head)
            assert (answer.status_code, "idempotent-replayed" in answer.headers) == (200, False)
        assert len(served.mini.calls) == 2
        head = {**KEY, "authorization": f"Bearer {OTHER}"}
        answer = await served.client.post(CHAT, json=chat("else"), headers=head)
        assert answer.status_code == 400
        assert (await served.client.post(CHAT, json=chat(), headers=KEY)).status_code == 401


async def test_answers_outlive_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with house(tmp_path) as served:
            answer = await served.client.post(CHAT, json=chat(), headers=KEY)
            assert answer.content == COMPLETION
    assert answer.headers["idempotent-replayed"] == "true"
    assert len(served.mini.calls) == 0


@pytest.mark.parametrize(
    ("failure", "status"), [(Rejected(422, b"{}", "application/json"), 422), (Overloaded("full"), 503)]
)
async def test_what_was_refused_before_it_was_worked_on_is_not_kept(
    tmp_path: Path, failure: Exception, status: int
) -> None:
    async with house(tmp_path) as served:
        served.mini.failures.append(failure)  # type: ignore[arg-type]
        answer = await served.client.post(CHAT, json=chat(model="mini"), headers=KEY)
        assert answer.status_code == status
        assert (await served.client.post(CHAT, json=chat(model="mini"), headers=KEY)).status_code == 200
        assert (await served.client.post(CHAT, json={"model": 5}, headers=KEY)).status_code == 400
        for body in ({"model": "auto"}, chat(model="nobody")):
            for _ in range(2):
                answer = await served.client.post(CHAT, json=body, headers={"idempotency-key": json.dumps(body)})
                assert answer.status_code in (400, 404)
                assert "idempotent-replayed" not in answer.headers


async def test_an_error_of_execution_is_given_again(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        served.mini.failures.append(Broken("half an answer"))
        answers = [await served.client.post(CHAT, json=chat(model="mini"), headers=KEY) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [502, 502]
        assert answers[0].content == answers[1].content
        assert (answers[1].headers["idempotent-replayed"], answers[1].headers["x-should-retry"]) == ("true", "false")
        assert len(served.mini.calls) == 1


async def raw(app: Idempotent, body: bytes, *, leaves_after: int | None = None) -> tuple[bytes, bool]:
    """Return the body that is sent, and whether it ended; the caller leaves after so many messages."""
    parts, ended, sent = [], False, 0
    left = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        nonlocal ended, sent
        sent += 1
        if leaves_after is not None and sent > leaves_after:
            if not left.done():
                left.set_result(None)
            return
        if message["type"] == "http.response.body":
            parts.append(message["body"])
            ended = not message.get("more_body", False)

    headers = [
        (b"content-type", b"application/json"),
        *((name.encode(), value.encode()) for name, value in KEY.items()),
    ]
    extensions = {"tandem.left": {"future": left}, "tandem.whole": {}}
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "extensions": extensions}
    await app(scope, receive, send)  # type: ignore[arg-type]
    return b"".join(parts), ended  # type: ignore[arg-type]


async def test_a_stream_that_broke_breaks_again_at_the_same_byte(tmp_path: Path) -> None:
    body = json.dumps(chat(stream=True, model="mini")).encode()
    async with house(tmp_path) as served:
        served.mini.events, served.mini.breaks_with = EVENTS[:2], StreamBroken("cut")
        first = await raw(served.around, body)
        again = await raw(served.around, body)
        assert first == again
        assert b'"error"' in first[0]
        assert not first[1]
        assert len(served.mini.calls) == 1


async def test_a_caller_who_leaves_finds_the_whole_answer_when_they_come_back(tmp_path: Path) -> None:
    body = json.dumps(chat(stream=True)).encode()
    async with house(tmp_path) as served:
        served.mini.events = (EVENTS[0], 0.05, *EVENTS[1:])
        got, ended = await raw(served.around, body, leaves_after=2)
        assert (got, ended) == (EVENTS[0], False)
        assert await raw(served.around, body) == (EVENTS[0] + EVENTS[1] + EVENTS[3], True)
        assert len(served.mini.calls) == 1
    assert [row["outcome"] for row in served.rows()] == ["answered"]


async def test_a_request_that_is_cancelled_gives_its_key_back(tmp_path: Path) -> None:
    body = json.dumps(chat()).encode()
    async with house(tmp_path) as served:
        served.mini.completion_hangs = True
        asked = asyncio.create_task(raw(served.around, body))
        while not served.mini.calls:
            await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait({asked})
        served.mini.completion_hangs = False
        assert await raw(served.around, body) == (COMPLETION, True)


@pytest.mark.parametrize("key", [b"", b" ", b"k" * 256, "schlüssel".encode(), b"a\tb", b"a\x7fb"])
async def test_a_key_that_is_none_is_refused(tmp_path: Path, key: bytes) -> None:
    async with house(tmp_path) as served:
        answer = await served.client.post(CHAT, json=chat(), headers={b"idempotency-key": key})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_idempotency_key")
        twice = [("idempotency-key", "a"), ("idempotency-key", "b")]
        assert (await served.client.post(CHAT, json=chat(), headers=twice)).status_code == 400
        assert not served.mini.calls


async def test_while_keys_cannot_be_kept_no_request_with_one_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        connection = served.around._answers._connection
        connection.execute("ALTER TABLE answers RENAME TO gone")
        answer = await served.client.post(CHAT, json=chat(), headers=KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "idempotency_unavailable")
        assert (await served.client.post(CHAT, json=chat())).status_code == 200
        assert len(served.mini.calls) == 1
        connection.execute("ALTER TABLE gone RENAME TO answers")
