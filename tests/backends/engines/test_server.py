"""Tests backends/engines/server.py as a process; what is refused before anything is loaded, without one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.engines import server

Refused = Callable[..., tuple[object, str]]


def finished(command: list[str], *arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=False)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return what calls it with a command line that it must refuse: its exit code, and what it says."""

    def serve(*_: object, **__: object) -> None:
        pytest.fail("it was not refused")

    def call(*arguments: str) -> tuple[object, str]:
        try:
            code: object = server.main(arguments)
        except SystemExit as ended:
            code = ended.code
        return code, capsys.readouterr().err

    monkeypatch.setattr(server, "serve", serve)
    return call


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model=x"],
        ["--model=x", "--name=x", "--port=70000"],
        ["--slots=0"],
        ["--lora=x"],
        ["--max-wait=2"],
        ["--model=x", "--name=x", "--lora=a=x", "--lora=a=y"],
    ],
)
def test_a_wrong_command_line_ends_with_code_2(refused: Refused, arguments: list[str]) -> None:
    code, said = refused(*arguments)
    assert code == 2
    assert "usage:" in said


def test_a_missing_file_ends_with_code_3(server_command: list[str], root: Path) -> None:
    ended = finished(server_command, "--model=/nowhere/x.gguf", "--name=x", root=root)
    assert ended.returncode == 3
    assert ended.stderr == (
        "cannot read model file /nowhere/x.gguf: No such file or directory; give the path of a GGUF file\n"
    )


def test_a_file_that_is_no_gguf_ends_with_code_3(refused: Refused, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"PK\3\4" + bytes(1000))
    code, said = refused(f"--model={garbage}", "--name=x")
    assert code == 3
    assert f"{garbage} is no GGUF file" in said


def test_a_model_of_the_other_engine_is_told_from_a_bad_one(refused: Refused, weights: Path, tmp_path: Path) -> None:
    assert refused(f"--model={tmp_path}", "--name=x") == (
        3,
        f"{tmp_path} is a folder, llama.cpp reads GGUF files; take --engine transformers\n",
    )
    assert refused(f"--model={weights}", "--name=x", "--engine=transformers") == (
        3,
        f"{weights} is a file, the transformers engine reads folders; take --engine llama_cpp\n",
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--slots=257", "257 slots are more than an engine can have: take 256 or fewer"),
        ("--threads=100000", "100000 threads are more than an engine can have: take 512 or fewer"),
        ("--quantise=int4", "llama.cpp converts no weights to int4"),
        ("--model=/dev/zero", "/dev/zero is a pipe or a device"),
    ],
)
def test_what_no_engine_can_do_ends_with_code_3_and_the_reason(
    refused: Refused, weights: Path, option: str, words: str
) -> None:
    code, said = refused(f"--model={weights}", "--name=x", option)
    assert code == 3
    assert said.startswith(words)


def test_a_kind_of_kv_cache_that_the_engine_does_not_have_ends_with_code_3(refused: Refused, tmp_path: Path) -> None:
    code, said = refused(f"--model={tmp_path}", "--name=x", "--engine=transformers", "--cache-type=q8_0")
    assert code == 3
    assert "keeps no KV as q8_0" in said


@pytest.mark.parametrize("option", ["--draft=/nowhere/draft.gguf", "--lora=polite=/nowhere/polite.gguf"])
def test_a_missing_companion_ends_with_code_3(refused: Refused, weights: Path, option: str) -> None:
    code, said = refused(f"--model={weights}", "--name=x", option)
    assert code == 3
    assert f"cannot read model file {option.rpartition('=')[2]}" in said


def test_a_torn_file_ends_with_code_3_and_the_reasons(
    server_command: list[str], root: Path, broken_weights: Path
) -> None:
    ended = finished(server_command, f"--model={broken_weights}", "--name=x", root=root)
    assert ended.returncode == 3
    assert "is cut short by" in ended.stderr
    assert ended.stderr.startswith(str(broken_weights))


def test_a_taken_port_ends_with_code_4(server_command: list[str], root: Path, weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        ended = finished(server_command, f"--model={weights}", "--name=x", f"--port={port}", root=root)
    assert ended.returncode == 4
    assert ended.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


def test_an_engine_whose_parent_is_gone_does_not_start(server_command: list[str], root: Path, weights: Path) -> None:
    arguments = (f"--model={weights}", "--name=x", "--die-with-parent=1")
    ended = finished(server_command, *arguments, root=root)
    assert ended.returncode == 1
    assert "parent process 1 has ended" in ended.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_answers_and_ends_at_once_though_a_caller_is_listening(
    server_command: list[str], root: Path, weights: Path, ending: signal.Signals
) -> None:
    command = [*server_command, f"--model={weights}", "--name=desk-mini"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("desk-mini answers on http://127.0.0.1:")
        port = int(line.rpartition(":")[2].removesuffix("/v1\n"))
        body = json.dumps({"prompt": "<s>", "ignore_eos": True, "max_tokens": 1000, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
            caller.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            assert caller.recv(4096)
            asked = time.monotonic()
            process.send_signal(ending)
            assert process.wait(5) == 0
            assert time.monotonic() - asked < 1.0


def test_an_engine_that_is_lost_in_a_schema_says_that_it_is_unwell_and_ends_when_it_is_told_to(
    root: Path, weights: Path
) -> None:
    program = (
        "import sys; from backends.engines.llama_server import pulse; pulse.STUCK_AFTER = 0.7\n"
        "from backends.engines.server import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, f"--model={weights}", "--name=desk-mini"]
    schema = {"type": "string", "pattern": "^((a{0,1000}){0,1000}){0,1000}$"}  # fits a text in very many ways
    body = {
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2].removesuffix("/v1\n"))
        try:
            assert health_of(port) == 200
            sent = json.dumps(body).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(sent)
            with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
                caller.sendall(head + sent)
                until = time.monotonic() + 8
                while health_of(port) == 200:
                    assert time.monotonic() < until
                    time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(4) == 0
        finally:
            process.kill()


def health_of(port: int) -> int:
    with urllib.request.build_opener(Status()).open(f"http://127.0.0.1:{port}/health", timeout=3) as answer:
        return int(answer.status)


class Status(urllib.request.HTTPErrorProcessor):
    """Lets every status through."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        return response


def test_the_weights_are_checked_before_llama_cpp_is_loaded(root: Path) -> None:
    program = (
        "import sys; from backends.engines.server import main\n"
        "code = main(['--model=/nowhere', '--name=x'])\n"
        "sys.exit('xllamacpp' in sys.modules or code != 3)"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=10, check=False).returncode == 0
