"""A whole gateway that looks at its replies: router/relay.py, router/pipeline.py, router/learning/shadows.py."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backends.base import StreamBroken
from router import relay
from router.gathering import Gathered, Room
from router.ledger.place import SqlitePlace, reading
from tests.router.conftest import House, OpenHouse, Served, chat
from tests.router.scripted import COMPLETION, EVENTS

CHAT = "/v1/chat/completions"
LOOP = COMPLETION.replace(b'"hello"', json.dumps("I am not sure about that. " * 12).encode())


async def ask(house: House, **more: Any) -> None:
    answer = await house.client.post(CHAT, json=chat(**more))
    assert answer.content


def found(path: Path) -> list[dict[str, object]]:
    with reading(SqlitePlace(path)) as opened:
        return list(opened.rows("SELECT * FROM assessments ORDER BY request_id"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_is_assessed_whole_or_streamed(open_house: OpenHouse, *, stream: bool) -> None:
    async with open_house(quality={"cpu_share": 1.0}) as house:
        house.mini.completion = LOOP
        await ask(house, stream=stream)
        await asyncio.sleep(0.3)
    (row,) = found(house.ledger)
    assert (row["tier"], row["finish"], row["is_repetitive"], row["tokens"]) == (
        "mini",
        "stop",
        int(not stream),
        1 if stream else 84,
    )


async def test_a_stream_that_broke_is_told_as_cut(serve_house: Served) -> None:
    async with serve_house(quality={"cpu_share": 1.0}) as house:
        house.mini.events, house.mini.breaks_with = EVENTS[:1], StreamBroken("cut")
        with suppress(httpx2.RemoteProtocolError):
            await ask(house, stream=True)
        await asyncio.sleep(0.3)
    (row,) = found(house.ledger)
    assert (row["finish"], row["is_truncated"]) == ("", 1)


async def test_what_can_be_verified_is_looked_at_before_the_gateway_closes(open_house: OpenHouse) -> None:
    async with open_house(quality={"cpu_share": 0.000001}) as house:
        for _ in range(5):
            await ask(house, response_format={"type": "json_object"})
    assert [(row["checks"], row["failed_checks"]) for row in found(house.ledger)] == [(1, 1)] * 5


async def test_nothing_is_looked_at_where_that_is_off(open_house: OpenHouse) -> None:
    async with open_house(quality={"assess": False}) as house:
        await ask(house)
        await asyncio.sleep(0.05)
    assert found(house.ledger) == []


async def test_a_sampled_request_is_compared_with_the_other_tier(open_house: OpenHouse) -> None:
    async with open_house(learning={"shadow": 1.0}, quality={"cpu_share": 1.0}) as house:
        await ask(house)
        await asyncio.sleep(0.5)
    (row,) = found(house.ledger)
    assert (row["agreement"], row["judge"]) == (1.0, "agreement@1")


async def test_a_stream_that_begins_when_there_is_no_room_is_not_gathered_but_counted(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered = list[bool]()

    def noted(room: Room, *, wanted: bool) -> Gathered:
        gathered.append(wanted)
        return Gathered(room, wanted=wanted)

    monkeypatch.setattr(relay, "Gathered", noted)
    async with open_house(quality={"cpu_share": 0.000001, "waiting": 1}) as house:
        for _ in range(5):
            await ask(house, stream=True)
            await asyncio.sleep(0.05)
        told = (await house.client.get("/metrics")).text
    assert gathered[0]
    assert not all(gathered)
    assert f'tandem_assessed_replies_total{{result="queue_full"}} {gathered.count(False):.1f}' in told
