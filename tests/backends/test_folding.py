"""Tests backends/folding.py."""

import random

import pytest

from backends.folding import Folded

WORDS = (" the", "and", " of", "\\n", "ünï", "", '\\"', " longer than the others")
ODD = (
    b"data: {}\n\n",
    b": ping\n\n",
    b"data: [DONE]\n\n",
    b"event: x\r\ndata: y\r\n\r\n",
    b"half of one",
    b"\n\n",
    b"\n",
)


def event(text: str, more: str = "") -> bytes:
    """Return an event as servers send it."""
    head = '{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1767225600,"model":"large-1"'
    choice = f'{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null}}'
    return f'data: {head},"choices":[{choice}]{more}}}\n\n'.encode()


def folded(events: list[bytes]) -> Folded:
    """Return what holds them."""
    found = Folded()
    for each in events:
        found.add(each)
    return found


def test_whatever_came_comes_back_byte_for_byte() -> None:
    chance = random.Random(11)
    known = [*ODD, *map(event, WORDS), event("a") + event("b"), event("a") + event("a") + b"half"]
    for _ in range(3_000):
        letters = bytes(chance.choices(b'ab"\n', k=chance.randrange(1, 90)))
        events = [chance.choice([*known, letters]) for _ in range(chance.randrange(1, 30))]
        found = folded(events)
        assert found.body() == b"".join(events)
        found.add(events[0])
        assert found.body() == b"".join([*events, events[0]])  # asked for in between, it goes on


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_stream_takes_a_tenth_of_its_bytes_however_its_events_come(at_once: int) -> None:
    events = [event(WORDS[number % len(WORDS)]) for number in range(600)]
    pieces = [b"".join(events[at : at + at_once]) for at in range(0, len(events), at_once)]
    assert folded(pieces).size < len(b"".join(events)) / 10


def test_equal_events_take_a_byte_each() -> None:
    assert folded([event("x")] * 1_000).size < 1_000 + 3 * len(event("x"))


def test_an_event_of_another_kind_does_not_end_the_folding() -> None:
    events = [event(WORDS[number % len(WORDS)]) for number in range(300)]
    events[0] = events[200] = b": ping\n\n"
    events[40] = b"event: chunk\n" + event("x")
    found = folded(events)
    assert found.size < len(b"".join(events)) / 8
    assert found.body() == b"".join(events)


def test_a_frame_narrows_where_a_field_of_it_changes() -> None:
    padded = [event("x", f',"pad":"{"p" * (number % 9)}{number}"') for number in range(300)]
    assert folded(padded).size < len(b"".join(padded)) / 4


def test_events_that_share_nothing_are_held_as_they_came_and_are_not_looked_at_for_long() -> None:
    chance = random.Random(12)
    events = [b"data: " + chance.randbytes(90).hex().encode() + b"\n\n" for _ in range(400)]
    found = folded(events)
    assert found.size < len(b"".join(events)) * 1.3
    assert len(found._before) == len(events)
    assert found._strays < 20
    assert folded([b"".join(events)] * 3).size < 3 * len(b"".join(events)) + 2_000  # nor one by one
