"""Tests router/bench/peers/comparing.py and router/bench/peers/known.py."""

import sys
from pathlib import Path

import pytest

from router.bench.companions import ROOT, Cores
from router.bench.peers.base import CannotInstall, Cost, Peer, Started
from router.bench.peers.comparing import OURS, _cost, _running, goals_of, installed
from router.bench.peers.known import PEERS, _from_npm, _on_path


def upstream_as_peer(_folder: Path, _place: Path, port: int, _upstream: str) -> Started:
    return Started((sys.executable, "-m", "router.bench.upstream", "--port", str(port)), {"PYTHONPATH": str(ROOT)})


def peer(name: str, **more: object) -> Peer:
    return Peer(name, "1", 1.0, lambda _folder: None, upstream_as_peer, **more)  # type: ignore[arg-type]  # of a test


def test_our_share_is_the_median_of_what_each_round_says() -> None:
    ours = [Cost(200.0, 40.0, 80.0), Cost(100.0, 20.0, 80.0), Cost(400.0, 80.0, 80.0)]
    theirs = [Cost(100.0, 40.0, 9.0), Cost(100.0, 40.0, 9.0), Cost(100.0, 40.0, 9.0)]
    peers = {"vllm-router": (peer("vllm-router"), Path())}
    goals = {goal.name: goal for goal in goals_of({OURS: ours, "vllm-router": theirs}, peers)}
    assert (goals["cpu_per_request_vs_vllm-router"].value, goals["cpu_per_request_vs_vllm-router"].met) == (2.0, False)
    assert (goals["cpu_per_chunk_vs_vllm-router"].value, goals["cpu_per_chunk_vs_vllm-router"].met) == (1.0, True)


def test_a_peer_is_installed_once_and_one_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    made: list[Path] = []
    said: list[str] = []
    whole = Peer("whole", "2", 1.0, made.append, upstream_as_peer)
    absent = Peer("absent", "", 1.0, _on_path("no-such-program-here"), upstream_as_peer)
    for _ in range(2):
        found = installed([whole, absent], home=tmp_path, say=said.append)
        assert set(found) == {"whole"}
    assert made == [tmp_path / "whole-2"]
    assert any("no-such-program-here is not on PATH" in line for line in said)


def test_what_a_package_manager_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotInstall, match="npm"):
        _from_npm("@tandem/no such name")(tmp_path)


def test_a_peer_that_runs_costs_cpu(tmp_path: Path) -> None:
    cores = Cores(gateway=0, others=0)
    with _running(peer("upstream"), tmp_path, tmp_path, "http://127.0.0.1:1", cores) as (pid, url, headers):
        load = ("--connections", "4", "--seconds", "0.4")
        cost = _cost(pid, url, load, headers, streams=False, core=0)
    assert 0 < cost.request_us < 5_000
    assert cost.chunk_us is None
    assert cost.rss_mb > 5


def test_each_peer_has_a_goal_and_a_version_of_its_own() -> None:
    assert len({name.name for name in PEERS}) == len(PEERS)
    assert all(known.at_most > 0 and (known.version or known.name == "nginx") for known in PEERS)
