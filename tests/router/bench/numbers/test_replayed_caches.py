"""Tests router/bench/numbers/replayed_caches.py with a part of its runs."""

import asyncio
import random
from dataclasses import replace

import pytest

from router.bench.numbers import replayed_caches
from router.replaying.caching import Met, SimulatedCache

SMALL = replace(replayed_caches.CROWDS[0], requests=400, common=0.6)


def test_no_hit_of_a_real_store_is_missed() -> None:
    asked = list(replayed_caches._questions(SMALL, random.Random(2)))
    hits = sum(bool(each.cache) for each in asyncio.run(replayed_caches._log(asked, 60.0)))
    assert 20 < hits < 300
    assert asyncio.run(replayed_caches._differing(asked)) == 0


def test_a_cache_that_forgets_too_late_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    meet = SimulatedCache.meet

    def met_later(self: SimulatedCache, key: str, process: str, at: float) -> Met:
        return meet(self, key, process, at - 1.0)

    monkeypatch.setattr(SimulatedCache, "meet", met_later)
    assert asyncio.run(replayed_caches._differing(list(replayed_caches._questions(SMALL, random.Random(2))))) > 0


def test_shares_of_hits_are_covered() -> None:
    found = list(replayed_caches._coverage(SMALL, random.Random(4), 12))
    assert all(goal.met for goal in found)
    assert [goal.name.rpartition(", ")[2] for goal in found] == [
        "refused",
        "coverage of the share of hits",
        "half-width",
    ]
