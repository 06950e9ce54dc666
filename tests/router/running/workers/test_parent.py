"""router/running/workers/parent.py: a gateway of several processes begins, or says why not."""

import os
import socket
from pathlib import Path

from router.config.reading import read_chosen
from router.ledger.holding import hold
from router.running.reloading import Listening
from router.running.workers.parent import run
from tests.router.running.test_reloading import write


def test_a_ledger_in_use_keeps_it_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    write(file, server={"port": 0, "workers": 2})
    chosen = read_chosen(file)
    with hold(chosen.config.ledger.path):
        assert "in use by another gateway" in str(run(chosen, file, Listening()))


def test_a_port_in_use_keeps_it_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write(file, server={"port": taken.getsockname()[1], "workers": 2})
        assert "in use" in str(run(read_chosen(file), file, Listening()))


def test_there_are_as_many_workers_as_the_file_says_or_as_there_are_cores(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    counts = []
    for workers in (1, 3, "auto"):
        write(file, server={"workers": workers})
        counts.append(read_chosen(file).config.server.processes)
    assert counts == [1, 3, len(os.sched_getaffinity(0))]
