"""Tests router/bench/lives.py."""

from pathlib import Path

import pytest

from router.bench.companions import BenchError, free_cores
from router.bench.lives import live


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure too little for figures, enough to see that all of it is measured."""
    for name, value in (("_REST", 0.1), ("_SETTLE", 0.1), ("_WARM_UP", 0.1), ("STREAMS", 5), ("_STREAMS_EACH", 1)):
        monkeypatch.setattr(f"router.bench.lives.{name}", value)


@pytest.mark.usefixtures("short")
def test_one_life_of_the_real_gateway_gives_every_figure_and_loses_no_record(upstream: str, tmp_path: Path) -> None:
    life = live(tmp_path, upstream=upstream, cores=free_cores(), seconds=0.5, connections=4)
    assert (life.errors, life.first_error) == (0, "")
    assert life.sent == life.settled > 10
    assert life.left_open == 0
    assert 0.1 < life.first_200_s < 30
    assert 0.1 < life.start_cpu_s < 30
    assert 20 < life.idle_rss_mb < 300
    assert 10 < life.cpu_us < 100_000
    assert life.direct_requests_per_s > life.requests_per_s > 0
    assert life.p99_s >= life.p50_s > life.direct_p50_s > 0


@pytest.mark.usefixtures("short")
def test_a_gateway_that_cannot_start_is_shown_with_its_own_words(
    upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.bench.lives._configuration", lambda *_, **__: "sever: {}")
    with pytest.raises(BenchError, match=r"(?s)exit code 3 .*sever"):
        live(tmp_path, upstream=upstream, cores=free_cores(), seconds=0.5, connections=4)
