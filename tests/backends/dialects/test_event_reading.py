"""Tests of backends/dialects/event_reading.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.dialects.base import DialectError
from backends.dialects.event_reading import MAX_EVENT, Event, EventReader


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event(b"", b"a")]),
        (b"event: x\r\ndata: a\r\ndata:b\r\n\r\n", [Event(b"x", b"a\nb")]),
        (b"data: a\r\rdata: b\r\r\n", [Event(b"", b"a"), Event(b"", b"b")]),
        (b": only a comment\n\n", [Event(b"", b"")]),
        (b"\n\n\n\n", []),
        (b"data: without an end", [Event(b"", b"without an end")]),
        (b"id: 7\ndata:  a\n\n", [Event(b"", b" a")]),
    ],
)
def test_events_are_read_however_their_lines_end(stream: bytes, events: list[Event]) -> None:
    reader = EventReader()
    assert reader.feed(stream) + reader.finish() == events


_LINES = st.lists(st.sampled_from([b"data: x", b"event: y", b": c", b"", b"data:", b"data: \xc3\xa4"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 20))
def test_a_stream_split_anywhere_has_the_same_events(lines: list[bytes], end: bytes, size: int) -> None:
    stream = end.join(lines) + end
    whole, split = EventReader(), EventReader()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    found = [event for part in parts for event in split.feed(part)] + split.finish()
    assert found == whole.feed(stream) + whole.finish()


def test_an_event_without_an_end_is_given_up() -> None:
    reader = EventReader()
    for _ in range(MAX_EVENT // 65_536):
        reader.feed(b"x" * 65_536)
    with pytest.raises(DialectError):
        reader.feed(b"x")
