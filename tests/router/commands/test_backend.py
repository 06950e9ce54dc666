"""Tests `router/commands/backend.py` and `router/commands/weights.py`: a real engine in a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from router.base import Tier
from router.commands.program import run
from router.commands.weights import bundled, is_gguf

ROOT = Path(__file__).resolve().parents[3]


def test_both_tiers_have_weights_that_come_with_tandem() -> None:
    assert set(bundled()) == set(Tier)
    assert all(is_gguf(file) for file in bundled().values())


def test_a_model_is_served_under_its_name_until_it_is_told_to_stop() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "router", "backend", "mini"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = re.search(r"http://\S+", process.stdout.readline())
            assert said is not None
            models = httpx2.get(f"{said[0]}/models", timeout=10, trust_env=False).json()
            assert models["data"][0]["id"] == "mini"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_name_without_weights_is_a_slip(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backend", "huge"]) == 2
    assert "--model" in capsys.readouterr().err


def test_an_adapter_without_a_name_is_a_slip(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backend", "mini", "--lora", "polite.gguf"]) == 2
    assert "NAME=PATH" in capsys.readouterr().err


def test_what_another_engine_reads_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backend", "mine", "--model", str(tmp_path)]) == 3
    assert "--engine transformers" in capsys.readouterr().err
    assert run(["backend", "mini", "--engine", "transformers"]) == 3
    assert "--engine llama_cpp" in capsys.readouterr().err


def test_weights_that_are_none_and_a_port_that_is_taken_have_their_exit_codes(tmp_path: Path) -> None:
    assert run(["backend", "mini", "--model", str(tmp_path / "no.gguf")]) == 3
    assert run(["backend", "mini", "--model", os.devnull]) == 3
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["backend", "mini", "--port", str(taken.getsockname()[1])]) == 4
