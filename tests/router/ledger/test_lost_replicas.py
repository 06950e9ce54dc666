"""A gateway whose replicas are hedged -> a row for each one that was asked, whoever asked it, on both engines.

Tests router/learning/second_calls.py, router/quality/comparisons.py and router/ledger/posting.py together.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.ledger.place import LedgerPlace, SqlitePlace
from router.ledger.reading import iter_requests
from router.ledger.rollup import verify
from tests.router.conftest import Served, chat
from tests.router.ledger.test_gateway import options_of
from tests.router.scripted import COMPLETION, SCRIPTS, Script
from tests.router.verifying import BETWEEN, CHAT, ScriptedVerifier

UNTOLD = COMPLETION[: COMPLETION.index(b',"usage"')] + b"}"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Upstream:
    """Two replicas of every model: whichever is asked first says nothing, or refuses; the other one answers.

    Attributes:
        broken: a model of which both refuse.
        asked: calls, by model.
    """

    completion: bytes = COMPLETION
    refuses: bool = False
    broken: str = ""
    asked: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection."""
        with closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            model = msgspec.json.decode(await reader.readexactly(length))["model"]
            self.asked[model] += 1
            if model == self.broken or (self.asked[model] % 2 and self.refuses):
                writer.write(REFUSAL)
            elif self.asked[model] % 2:
                await reader.read()  # ends when the gateway lets it go
            else:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                writer.write(head % len(self.completion) + self.completion)
            await writer.drain()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield the parts of a configuration that lead here."""
        async with (
            await asyncio.start_server(self.serve, "127.0.0.1", 0) as one,
            await asyncio.start_server(self.serve, "127.0.0.1", 0) as other,
        ):
            urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for server in (one, other)]
            kind = {"use": "openai_http", "urls": urls, "health": {"enabled": False}}
            if not self.refuses:
                kind["hedge"] = {"after": 0.02, "share": 1.0}
            yield {
                "backends": {
                    "large": {**kind, "model": "big", "price": "desk-large"},
                    "mini": {**kind, "model": "small", "price": "desk-mini"},
                },
                "quality": {
                    "judge": {
                        "backend": {**kind, "model": "wise", "price": "desk-large"},
                        "family": "wise",
                        "tier_families": ["house"],
                    }
                },
                "policy": {"use": "threshold", "threshold": 1.0},
                "learning": {"shadow": 1.0},
            }


async def attempts_of(house: Any, place: LedgerPlace, *, count: int) -> list[dict[str, Any]]:
    """Ask once, and return all attempts when there are so many."""
    answer = await house.client.post(CHAT, json=chat("x" * 400))
    assert answer.status_code == 200
    for _ in range(300):
        attempts = [dict(each) for row in iter_requests(place) for each in row["attempts"]]
        if len(attempts) >= count and all(each["error"] != "Interrupted" for each in attempts):
            return attempts
        await asyncio.sleep(0.01)
    raise AssertionError(f"there are {attempts}")


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every house names them, also one that asks none."""
    for tier in ("large", "mini"):
        monkeypatch.setitem(SCRIPTS, tier, Script())


async def test_each_replica_that_was_asked_has_a_row_and_a_price(
    place: LedgerPlace, serve_house: Served, tmp_path: Path
) -> None:
    behind = Upstream()
    async with behind.opened() as parts, serve_house(ledger=options_of(place, tmp_path), **parts) as house:
        attempts = await attempts_of(house, place, count=7)
        metrics = (await house.client.get("/metrics")).text
        explained = (await house.client.get(f"/v1/explain/{next(iter(iter_requests(place)))['id']}")).json()
    assert behind.asked == {"small": 2, "big": 2, "wise": 4}
    assert [(each["kind"], each["model"]) for each in attempts] == [
        ("hedge_loser", "small"),
        ("primary", "small"),
        ("shadow", "big"),
        ("judge", "wise"),
        ("hedge_loser", "big"),
        ("hedge_loser", "wise"),
        ("hedge_loser", "wise"),
    ]
    losers = [each for each in attempts if each["kind"] == "hedge_loser"]
    assert {(each["usage_source"], each["output"]) for each in losers} == {("tokenizer", 0)}
    assert [each["fresh_input"] for each in losers[:2]] == [10, 10], "what was told for the same prompt"
    assert len({each["replica"] for each in attempts}) == 2
    assert all(each["cost"] for each in attempts)
    (row,) = iter_requests(place)
    assert row["cost"] == attempts[0]["cost"] + attempts[1]["cost"]
    assert verify(place) == []
    assert "tandem_unpriced_reasons_total{" not in metrics
    assert [each["kind"] for each in explained["attempts"]] == ["hedge_loser", "primary"], "the rest is no part of it"


async def test_a_second_call_that_tells_no_usage_is_estimated_and_says_so(
    place: LedgerPlace, serve_house: Served, tmp_path: Path
) -> None:
    behind = Upstream(completion=UNTOLD)
    async with behind.opened() as parts, serve_house(ledger=options_of(place, tmp_path), **parts) as house:
        attempts = await attempts_of(house, place, count=7)
    assert {each["usage_source"] for each in attempts} == {"tokenizer"}
    assert all(each["cost"] for each in attempts)
    shadow, judge = (next(each for each in attempts if each["kind"] == kind) for kind in ("shadow", "judge"))
    assert 100 <= shadow["fresh_input"] <= 120, "four bytes a token, until something is learnt"
    assert shadow["output"] == round(len(UNTOLD) / 5)
    assert judge["output"] == 2 * shadow["output"]
    assert verify(place) == []


async def test_a_replica_that_was_too_slow_for_a_reply_that_nobody_was_given_has_its_row(
    serve_house: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: ScriptedVerifier(p=0.9))
    behind, place = Upstream(), SqlitePlace(tmp_path / "l.db")
    async with behind.opened() as parts:
        cascade = {**parts, "policy": {**BETWEEN, "second_sample": False}, "learning": {}}
        async with serve_house(ledger=options_of(place, tmp_path), **cascade) as house:
            attempts = await attempts_of(house, place, count=4)
    assert [(each["kind"], each["model"], each["fresh_input"]) for each in attempts] == [
        ("hedge_loser", "small", 10),
        ("escalation", "small", 8),
        ("hedge_loser", "big", 10),
        ("primary", "big", 8),
    ]
    assert all(each["cost"] for each in attempts)


@pytest.mark.parametrize(("broken", "kind", "count"), [("big", "shadow", 4), ("wise", "judge", 6)])
async def test_of_a_second_call_that_all_refused_each_has_its_row(
    broken: str, kind: str, count: int, serve_house: Served, tmp_path: Path
) -> None:
    behind, place = Upstream(refuses=True, broken=broken), SqlitePlace(tmp_path / "l.db")
    async with behind.opened() as parts, serve_house(ledger=options_of(place, tmp_path), **parts) as house:
        attempts = await attempts_of(house, place, count=count)
    told = [(each["kind"], each["cost"]) for each in attempts if each["model"] == broken]
    assert told == [(kind, 0), ("retried", 0)]


async def test_a_replica_that_refused_a_second_call_cost_nothing_and_has_its_row(
    place: LedgerPlace, serve_house: Served, tmp_path: Path
) -> None:
    behind = Upstream(refuses=True)
    async with behind.opened() as parts, serve_house(ledger=options_of(place, tmp_path), **parts) as house:
        attempts = await attempts_of(house, place, count=7)
    retried = [each for each in attempts if each["kind"] == "retried"]
    assert [(each["model"], each["cost"], each["error"]) for each in retried] == [
        ("small", 0, "Overloaded"),
        ("big", 0, "Overloaded"),
        ("wise", 0, "Overloaded"),
        ("wise", 0, "Overloaded"),
    ]
    assert verify(place) == []
