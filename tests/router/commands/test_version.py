"""Tests `router/commands/version.py`, through the program."""

import json
import platform
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from router import __version__
from router.commands.program import run


def test_the_version_stands_in_the_first_line(tandem: Callable[..., CompletedProcess[str]]) -> None:
    done = tandem("version")
    assert done.stdout.splitlines()[0] == f"tandem {__version__}"
    assert (done.returncode, done.stderr) == (0, "")


def test_with_json_it_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["tandem"], said["python"]) == (__version__, platform.python_version())
