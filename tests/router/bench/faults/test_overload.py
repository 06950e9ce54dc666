"""Tests `router/bench/faults/overload.py` without a gateway: one tier's backend by itself."""

from router.bench.faults.overload import closed_loop, open_loop, rate_of
from router.bench.faults.playing import SLOTS, WORK
from tests.router.bench.faults.conftest import Running


async def test_a_closed_loop_finds_what_a_backend_can_and_an_open_one_asks_for_more(backend: Running) -> None:
    best = rate_of(await closed_loop(backend.address, 1, 0.5), 0.5)
    assert 0.4 * SLOTS / WORK < best.goodput < 1.3 * SLOTS / WORK
    assert best.p99 > WORK
    got = await open_loop(backend.address, 1, rate=3 * best.goodput, seconds=0.3)
    assert 0.7 * best.goodput < len(got) < best.goodput  # three times the rate in three tenths of a second
    assert len({each.asked.id for each in got}) == len(got)
    assert rate_of([], 1.0).goodput == 0.0
