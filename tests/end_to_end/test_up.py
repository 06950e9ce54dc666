"""The first command of the README, as a newcomer runs it.

router/commands/up.py, router/commands/child.py, router/commands/showing.py, router/commands/serve.py
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil

from tests.end_to_end.conftest import free_port

ROOT = Path(__file__).parents[2]


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "router", "up", "--requests", "40", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(processes: list[psutil.Process], *, within: float) -> list[psutil.Process]:
    """Return which of these still run after so many seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        left = [process for process in processes if process.is_running() and process.status() != "zombie"]
        if not left:
            return []
        time.sleep(0.05)
    return left


def until_up(port: int) -> None:
    for _ in range(600):
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).json()["status"] == "ready":
                return
        except httpx2.HTTPError:
            time.sleep(0.05)
    raise AssertionError("not up")


def test_once_prints_one_json_object_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "--once", "--json", "--port", str(free_port()))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    policies = json.loads(out)["policies"]
    assert set(policies) == {"tandem", "large", "mini", "random"}
    for policy in policies.values():
        assert set(policy) >= {
            "requests",
            "share",
            "cost_usd",
            "saved",
            "simple",
            "complex",
            "ttft_p50_s",
            "ttft_p95_s",
        }
        assert policy["requests"] == 40 == policy["simple"]["n"] + policy["complex"]["n"]
        assert sum(policy["share"].values()) == 1
    assert policies["large"]["share"]["large"] == 1
    assert policies["mini"]["share"]["mini"] == 1
    assert policies["tandem"]["share"]["cache"] == 0.25
    assert policies["tandem"]["saved"] >= 0.58
    assert policies["tandem"]["complex"]["right"] >= policies["mini"]["complex"]["right"]
    assert [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())] == []


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, "--port", str(port))
    until_up(port)
    parts = below(process)
    assert len(parts) >= 4
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert alive(parts, within=5) == []


def test_a_killed_parent_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, "--port", str(port))
    until_up(port)
    parts = below(process)
    process.kill()
    process.communicate(timeout=30)
    assert alive(parts, within=15) == []


def test_a_taken_port_is_said_and_costs_exit_1(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(tmp_path, "--once", "--json", "--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"--port" in err
    assert "error" in json.loads(out)
