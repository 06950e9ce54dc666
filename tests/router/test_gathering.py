"""Tests router/gathering.py."""

from contextlib import suppress
from functools import partial

import httpx2
import pytest

import cache.options
from backends.base import StreamBroken
from router import walks
from router.gathering import LONGEST, TO_KEEP, TO_LOOK_AT, Gathered, Room, Rooms
from router.pipeline import Pipeline
from tests.router.conftest import Served, chat
from tests.router.scripted import EVENTS

DATA = b"data: {}\n\n" * 100


def test_what_came_is_one_body() -> None:
    gathered = Gathered(Room(TO_KEEP), wanted=True)
    for piece in (b"a", b"bc"):
        gathered.add(piece)
    assert (gathered.body(), gathered.length) == (b"abc", 3)


def test_what_nobody_wants_is_counted_and_takes_no_room() -> None:
    room = Room(TO_KEEP)
    gathered = Gathered(room, wanted=False)
    gathered.add(DATA)
    assert (gathered.body(), gathered.length, room.left) == (None, len(DATA), TO_KEEP)


def test_room_is_taken_only_for_what_the_events_of_a_stream_do_not_share() -> None:
    room = Room(TO_KEEP)
    gathered = Gathered(room, wanted=True)
    for number in range(400):
        gathered.add(EVENTS[0].replace(b"hel", b"%d" % number))
    assert gathered.length > 40_000
    assert TO_KEEP - 8_000 < room.left < TO_KEEP - 1_000


@pytest.mark.parametrize("data", [DATA, EVENTS[0] * 100])
def test_one_that_is_too_long_is_let_go_and_its_room_with_it(data: bytes) -> None:
    room = Room(TO_KEEP)
    gathered = Gathered(room, wanted=True)
    while gathered.length + len(data) <= LONGEST:
        gathered.add(data)
    assert gathered.body() is not None
    gathered.add(data)
    assert gathered.body() is None
    assert room.left == TO_KEEP


def test_whoever_finds_the_room_full_lets_go_of_all_it_has_and_others_go_on() -> None:
    size, piece = 50_000, 10 * DATA
    room = Room(size)
    long, short = Gathered(room, wanted=True), Gathered(room, wanted=True)
    for _ in range(3):
        long.add(piece)
    short.add(piece)
    assert long.body() == 3 * piece
    long.add(piece)
    assert long.body() is None
    short.add(piece)
    assert short.body() == 2 * piece
    for each in (long, short, short):
        each.close()
    assert room.left == size


@pytest.mark.parametrize("breaks_with", [None, StreamBroken("cut")])
@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_stream_gives_its_room_back_however_it_ends(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch, breaks_with: StreamBroken | None, *, is_kept: bool
) -> None:
    rooms, add, lowest = Rooms(), Gathered.add, {TO_KEEP: TO_KEEP, TO_LOOK_AT: TO_LOOK_AT}

    def added(gathered: Gathered, data: bytes) -> None:
        add(gathered, data)
        for size, room in ((TO_KEEP, rooms.to_keep), (TO_LOOK_AT, rooms.to_look_at)):
            lowest[size] = min(lowest[size], room.left)

    monkeypatch.setattr(Gathered, "add", added)
    monkeypatch.setattr(cache.options, "find_binary", lambda: None)
    monkeypatch.setattr(walks, "Pipeline", partial(Pipeline, rooms=rooms))
    async with serve_house(cache={"enabled": is_kept}) as house:
        house.mini.breaks_with = breaks_with
        if breaks_with is not None:
            house.mini.events = EVENTS[:1]
        with suppress(httpx2.RemoteProtocolError):
            await house.client.post("/v1/chat/completions", json=chat(stream=True, temperature=0))
        assert [size for size, left in lowest.items() if left < size] == [TO_KEEP if is_kept else TO_LOOK_AT]
        assert (rooms.to_keep.left, rooms.to_look_at.left) == (TO_KEEP, TO_LOOK_AT)
