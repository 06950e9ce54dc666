"""Tests cache/memory.py; what each store must do is in contract/test_store.py."""

from hypothesis import given
from hypothesis import strategies as st

from cache.memory import _ENTRY_BYTES, MemoryStore


def room_for(values: int, *, each: int) -> int:
    return values * (each + _ENTRY_BYTES)


async def test_what_was_not_read_for_longest_goes_first() -> None:
    store = MemoryStore(room_for(2, each=10))
    store.set(b"a", b"123456789", ttl=60)
    store.set(b"b", b"123456789", ttl=60)
    assert await store.get(b"a")
    store.set(b"c", b"123456789", ttl=60)
    assert await store.get(b"a")
    assert await store.get(b"b") is None
    assert await store.get(b"c")


async def test_a_value_larger_than_the_store_is_not_kept_and_evicts_nothing() -> None:
    store = MemoryStore(room_for(1, each=10))
    store.set(b"a", b"123456789", ttl=60)
    store.set(b"b", b"x" * 100, ttl=60)
    assert await store.get(b"a")
    assert await store.get(b"b") is None


async def test_a_value_too_large_does_not_leave_the_old_one_standing() -> None:
    store = MemoryStore(room_for(1, each=10))
    store.set(b"a", b"old", ttl=60)
    store.set(b"a", b"x" * 100, ttl=60)
    assert await store.get(b"a") is None


async def test_an_expired_value_gives_its_bytes_back() -> None:
    now = 0.0
    store = MemoryStore(1000, clock=lambda: now)
    store.set(b"a", b"value", ttl=1)
    now = 1.0
    assert await store.get(b"a") is None
    assert store._bytes == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.booleans()), max_size=60))
async def test_the_store_never_holds_more_than_its_bytes(steps: list[tuple[int, int, bool]]) -> None:
    store = MemoryStore(1500)
    for name, size, reads in steps:
        if reads:
            await store.get(b"%d" % name)
        else:
            store.set(b"%d" % name, b"x" * size, ttl=60)
        held = sum(len(key) + len(value) + _ENTRY_BYTES for key, (_, value) in store._held.items())
        assert store._bytes == held <= 1500


async def test_closing_forgets_everything() -> None:
    store = MemoryStore(1000)
    store.set(b"a", b"value", ttl=60)
    await store.aclose()
    assert await store.get(b"a") is None
