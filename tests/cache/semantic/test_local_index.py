"""Tests cache/semantic/local_index.py and cache/semantic/partitions.py."""

import random
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cache.semantic.base import Entry, Reading, Vector
from cache.semantic.local_index import LocalIndex
from cache.semantic.partitions import Partitions


def unit(*numbers: float) -> Vector:
    vector = np.array(numbers, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def entry(name: str, vector: Vector, facts: bytes = b"f") -> Entry:
    return Entry(name.encode().ljust(16), facts, vector, b"")


def cosine(one: Reading, other: Reading) -> float:
    return float(one.vector @ other.vector)


def test_the_nearest_entry_at_the_threshold_or_above_is_found() -> None:
    index = LocalIndex(10)
    index.add(entry("a", unit(1, 0)))
    index.add(entry("b", unit(1, 1)))
    found = index.nearest(entry("?", unit(1, 0.9)), cosine, least=0.5)
    assert found is not None
    assert found[1].name.strip() == b"b"
    assert index.nearest(entry("?", unit(-1, 0.2)), cosine, least=0.5) is None
    assert index.nearest(entry("?", unit(1, 0.9), b"other"), cosine, least=0.0) is None
    assert index.nearest(entry("?", unit(1, 0, 0)), cosine, least=0.0) is None


def test_the_readers_word_stands_above_the_cosine() -> None:
    index = LocalIndex(10)
    index.add(entry("a", unit(1, 0)))
    index.add(entry("b", unit(1, 0.2)))
    found = index.nearest(entry("?", unit(1, 0)), lambda _, other: 0.0 if other.vector[1] == 0 else 0.8, least=0.7)
    assert found is not None
    assert found[1].name.strip() == b"b"


def test_a_shelf_that_was_tightened_takes_no_hit_as_low() -> None:
    index = LocalIndex(10)
    index.add(entry("a", unit(1, 0)))
    asked = entry("?", unit(1, 0.5))
    assert index.nearest(asked, cosine, least=0.5) is not None
    index.least = 0.95
    assert index.nearest(asked, cosine, least=0.5) is None


def test_what_was_not_found_for_longest_is_forgotten_first() -> None:
    index = LocalIndex(3)
    for name, vector in (("a", unit(1, 0)), ("b", unit(0, 1)), ("c", unit(-1, 0))):
        index.add(entry(name, vector))
    assert index.nearest(entry("?", unit(1, 0)), cosine, least=0.9)
    index.add(entry("d", unit(0, -1)))
    assert [each.name.strip() for each in index.entries()] == [b"c", b"a", b"d"]


@given(st.integers(min_value=0, max_value=10_000))
def test_after_any_coming_and_going_the_scan_finds_what_is_there(seed: int) -> None:
    rng = random.Random(seed)
    index, held = LocalIndex(12), dict[bytes, Entry]()
    for step in range(80):
        if held and rng.random() < 0.4:
            name = rng.choice(sorted(held))
            index.forget(name)
            del held[name]
        else:
            vector = unit(*(rng.gauss(0, 1) for _ in range(6)))
            new = entry(f"e{step}", vector, bytes([rng.randrange(3)]))
            index.add(new)
            held[new.name] = new
        held = {name: each for name, each in held.items() if name in index}
    assert len(index) == len(held)
    for each in held.values():
        found = index.nearest(each, cosine, least=0.999)
        assert found is not None
        assert found[1].name == each.name
    for name in list(held):
        index.forget(name)
    assert (len(index), index.bytes_held) == (0, 0)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_all_partitions_together_stay_below_their_bytes() -> None:
    partitions = Partitions(max_entries=100, max_bytes=200_000, ttl=60, clock=Clock())
    for partition in range(40):
        key = bytes([partition]) * 32
        place = partitions.at(key)
        for number in range(30):
            place.index.add(entry(f"{number}", unit(1, number)))
        partitions.trim(key)
        assert partitions.bytes_held <= 200_000
    assert 1 < len(partitions) < 40
    assert len(partitions.at(b"\x27" * 32).index) == 30  # the last that was used


def test_one_partition_alone_is_trimmed_too() -> None:
    partitions = Partitions(max_entries=1_000, max_bytes=70_000, ttl=60, clock=Clock())
    index = partitions.at(b"p").index
    for number in range(500):
        index.add(entry(f"{number}", unit(1, number)))
    partitions.trim(b"p")
    assert partitions.bytes_held <= 70_000
    assert 20 < len(index) < 500


def test_a_partition_that_nobody_uses_is_forgotten_with_its_replies() -> None:
    clock = Clock()
    partitions = Partitions(max_entries=10, max_bytes=1 << 20, ttl=60, clock=clock)
    partitions.at(b"old").index.add(entry("a", unit(1, 0)))
    clock.now = 61.0
    partitions.at(b"new")
    assert len(partitions) == 1
    assert len(partitions.at(b"old").index) == 0


def test_a_scan_of_a_full_shelf_is_quick() -> None:
    rng = np.random.default_rng(0)
    index = LocalIndex(4_000)
    for number in range(4_000):
        index.add(entry(f"{number}", unit(*rng.normal(size=112))))
    asked = entry("?", unit(*rng.normal(size=112)))
    began = time.process_time()
    for _ in range(50):
        index.nearest(asked, cosine, least=0.9)
    assert (time.process_time() - began) / 50 < 2e-3
