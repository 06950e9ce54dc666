"""Tests router/gathering.py."""

from contextlib import suppress

import httpx2
import pytest

from backends.base import StreamBroken
from router.gathering import ALL, LONGEST, Gathered, Room
from tests.router.conftest import Served, chat
from tests.router.scripted import EVENTS

DATA = b"data: {}\n\n" * 100


def test_what_came_is_one_body() -> None:
    gathered = Gathered(Room(), wanted=True)
    for piece in (b"a", b"bc"):
        gathered.add(piece)
    assert (gathered.body(), gathered.length) == (b"abc", 3)


def test_what_nobody_wants_is_counted_and_takes_no_room() -> None:
    room = Room()
    gathered = Gathered(room, wanted=False)
    gathered.add(DATA)
    assert (gathered.body(), gathered.length, room.left) == (None, len(DATA), ALL)


def test_one_that_is_too_long_is_let_go_and_its_room_with_it() -> None:
    room = Room()
    gathered = Gathered(room, wanted=True)
    while gathered.length <= LONGEST:
        assert gathered.body() is not None
        gathered.add(DATA)
    assert gathered.body() is None
    assert room.left == ALL


def test_whoever_finds_the_room_full_lets_go_of_all_it_has_and_others_go_on() -> None:
    size = 4 * (len(DATA) + 48)
    room = Room(size)
    long, short = Gathered(room, wanted=True), Gathered(room, wanted=True)
    for _ in range(3):
        long.add(DATA)
    short.add(DATA)
    long.add(DATA)
    assert long.body() is None
    short.add(DATA)
    assert short.body() == 2 * DATA
    for each in (long, short, short):
        each.close()
    assert room.left == size


@pytest.mark.parametrize("breaks_with", [None, StreamBroken("cut")])
async def test_a_stream_gives_its_room_back_however_it_ends(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch, breaks_with: StreamBroken | None
) -> None:
    rooms, lowest = list[Room](), list[int]()
    make, add = Room.__init__, Gathered.add

    def noted(room: Room, size: int = ALL) -> None:
        rooms.append(room)
        make(room, size)

    def added(gathered: Gathered, data: bytes) -> None:
        add(gathered, data)
        lowest.append(gathered._room.left)

    monkeypatch.setattr(Room, "__init__", noted)
    monkeypatch.setattr(Gathered, "add", added)
    async with serve_house() as house:
        house.mini.breaks_with = breaks_with
        if breaks_with is not None:
            house.mini.events = EVENTS[:1]
        with suppress(httpx2.RemoteProtocolError):
            await house.client.post("/v1/chat/completions", json=chat(stream=True))
        assert min(lowest) < ALL
        assert {room.left for room in rooms} == {ALL}
