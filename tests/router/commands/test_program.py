"""Tests `router/commands/program.py`."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from router import __version__
from router.commands.program import COMMANDS, Command, run

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"numpy", "sklearn", "scipy", "torch", "starlette", "uvicorn", "redis", "xllamacpp", "sqlite3", "yaml"}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make functions of this file the program's only commands."""

    def put(**targets: Callable[..., None]) -> None:
        lines = tuple(Command(name, f"{__name__}:{name}", "help") for name in targets)
        monkeypatch.setattr("router.commands.program.COMMANDS", lines)
        monkeypatch.setattr("router.commands.program._load", lambda target: targets[target.partition(":")[2]])

    return put


def test_help_names_every_command_and_loads_no_heavy_module() -> None:
    code = "import sys; from router.commands.program import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    for command in COMMANDS:
        assert re.search(rf"\b{command.name}\b", done.stdout)
    assert HEAVY & set(done.stderr.split()) == set()


def test_the_version_is_told_before_any_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tandem {__version__}\n"


def test_no_argument_is_a_call_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Usage: tandem" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_target_is_a_module_of_the_program(command: Command) -> None:
    module, _, name = command.target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert re.search(rf"^(?:def {name}\(|{name} = typer\.Typer\()", Path(spec.origin).read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scor"], "no such command 'scor'. Did you mean 'score'"),
        (["version", "--jsn"], "no such option: --jsn"),
        (["export", "nothing"], "'nothing'"),
    ],
)
def test_a_slip_is_named_with_what_is_known_and_where_to_look(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert words.lower() in said.err.lower()
    assert "--help" in said.err


def test_with_json_an_error_is_an_object_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--jsn", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == 2
    assert "--jsn" in error["message"]
    assert error["advice"] == "see tandem version --help"


def test_a_slip_within_a_group_names_the_help_of_the_command_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["experiment", "report"]) == 2
    assert capsys.readouterr().err == "error: missing argument 'id': see tandem experiment report --help\n"


def test_the_help_of_a_command_shows_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--help"]) == 0
    assert "--format" in capsys.readouterr().out


def test_ctrl_c_leaves_no_traceback(tables: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    def wait() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    tables(wait=wait)
    assert run(["wait"]) == 130
    assert capsys.readouterr().err == ""


def test_a_mistake_of_the_program_is_not_hidden(tables: Callable[..., None]) -> None:
    def divide() -> None:
        raise ZeroDivisionError

    tables(divide=divide)
    with pytest.raises(ZeroDivisionError):
        run(["divide"])


def test_a_reader_that_has_seen_enough_ends_the_program_quietly() -> None:
    code = (
        "import sys; from router.commands import program\n"
        "def flood():\n"
        "    for _ in range(100_000): print('line')\n"
        "program._load = lambda target: flood\n"
        "sys.exit(program.run(['version']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 0
