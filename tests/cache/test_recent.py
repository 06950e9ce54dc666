"""Tests cache/recent.py."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from cache.recent import _ENTRY_BYTES, Recent


def room_for(values: int, *, each: int) -> int:
    return values * (each + _ENTRY_BYTES)


def test_what_was_not_used_for_longest_goes_first() -> None:
    recent = Recent(room_for(2, each=10))
    recent.set(b"a", b"123456789")
    recent.set(b"b", b"123456789")
    assert recent.get(b"a")
    recent.set(b"c", b"123456789")
    assert (b"a" in recent, b"b" in recent, b"c" in recent) == (True, False, True)
    assert recent.get(b"b") is None


def test_a_value_larger_than_everything_is_not_held_and_evicts_nothing() -> None:
    recent = Recent(room_for(1, each=10))
    recent.set(b"a", b"123456789")
    recent.set(b"b", b"x" * 100)
    assert b"a" in recent
    assert b"b" not in recent


def test_nothing_is_held_in_no_bytes() -> None:
    recent = Recent(0)
    recent.set(b"a", b"")
    assert recent.get(b"a") is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400)), max_size=60))
def test_never_more_than_its_bytes_are_held(steps: list[tuple[int, int]]) -> None:
    recent = Recent(1500)
    for name, size in steps:
        recent.set(b"%d" % name, b"x" * size)
        held = sum(len(key) + len(value) + _ENTRY_BYTES for key, value in recent._held.items())
        assert recent.bytes_held == held <= 1500


def test_threads_may_use_it_together() -> None:
    recent = Recent(room_for(8, each=10))

    def use(first: int) -> None:
        for i in range(3000):
            recent.set(b"%d" % ((first + i) % 20), b"123456789")
            recent.get(b"%d" % ((first + i * 7) % 20))

    threads = [threading.Thread(target=use, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recent.bytes_held == sum(len(key) + 9 + _ENTRY_BYTES for key in recent._held)
    recent.clear()
    assert recent.bytes_held == 0
