"""Tests router/bench/process.py."""

import os
import subprocess
import sys
import time

import pytest

from router.bench.process import read_process, read_tree

SPIN = "import time, sys\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\nsys.stdin.read()"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN!r}])"
GRANDPARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {PARENT!r}])"


def test_a_tree_holds_the_cpu_and_memory_of_each_process_apart() -> None:
    command = [sys.executable, "-c", GRANDPARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        grandparent, parent, child = read_tree(process.pid)
        process.communicate()
    assert (grandparent.pid, parent.parent, child.parent) == (process.pid, process.pid, parent.pid)
    assert parent.name.startswith("python")
    assert 0.29 <= child.cpu < 1.0
    assert parent.cpu < 0.25
    assert 3e6 < parent.rss < 200e6


def test_cpu_of_this_process_agrees_with_the_clock_of_the_kernel() -> None:
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    before, used, after = time.process_time(), read_process(os.getpid()).cpu, time.process_time()
    assert before - 0.03 <= used <= after + 0.03


def test_a_process_that_is_gone_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError, match=f"no process {process.pid}"):
        read_tree(process.pid)
