"""Tests router/bench/companions.py."""

import os
import signal
import subprocess
import sys

import pytest

from router.bench.companions import BenchError, Cores, free_cores, pinned, run_load, stop


def test_what_is_spawned_inside_runs_on_the_one_core_and_the_bench_is_free_again() -> None:
    before = os.sched_getaffinity(0)
    core = free_cores().others
    with pinned(core), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert os.sched_getaffinity(process.pid) == {core}
        process.communicate(b"\n")
    assert os.sched_getaffinity(0) == before


def test_a_machine_with_one_core_runs_all_of_it_there() -> None:
    core = free_cores().gateway
    with pinned(core):
        assert free_cores() == Cores(gateway=core, others=core)


def test_a_load_that_cannot_run_says_why() -> None:
    with pytest.raises(BenchError, match="exit code 2"):
        run_load("http://127.0.0.1:1/", "--no-such-flag", core=free_cores().others)


def test_a_process_that_ignores_the_request_to_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.bench.companions._STOP_LIMIT", 0.1)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process)
    assert process.returncode == -signal.SIGKILL
