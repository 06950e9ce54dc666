"""The checkout -> format, lint, types, contracts and tests, in that order, up to the first that fails."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit

from router.commands.errors import CommandFailed
from router.commands.origins import checkout

# import-linter has no `python -m`; a script's own first line would not outlive a move of the checkout.
_CONTRACTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

STEPS = (
    ("format", ("-m", "ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("-m", "ruff", "check", "--quiet", ".")),
    ("types", ("-m", "mypy", "--no-error-summary")),
    ("contracts", ("-c", _CONTRACTS)),
    ("tests", ("-m", "pytest")),
)
HALVES = (("tests/backends", "tests/cache"), ("tests", "--ignore=tests/backends", "--ignore=tests/cache"))
"""Of the tests, about as long as each other."""


def run_steps(
    pytest_arguments: Annotated[
        list[str] | None, Argument(metavar="[PYTEST ARGUMENTS]...", help="Handed to pytest, such as -k NAME.")
    ] = None,
) -> None:
    """Run every step; the last lines of the output are those of the step that ended it."""
    root = checkout()
    missing = [name for name in ("ruff", "mypy", "importlinter", "pytest") if find_spec(name) is None]
    if root is None or missing:
        raise CommandFailed("the development set is not installed", advice="run ./tandem test from a checkout")
    for name, arguments in STEPS:
        print(f"== {name}", flush=True)
        if name != "tests":
            passes = _passes(arguments, root)
        elif pytest_arguments:
            passes = _run((*arguments, *pytest_arguments), root) == 0
        else:
            passes = _both_halves_pass(arguments, root)
        if not passes:
            raise Exit(1)


def _passes(arguments: tuple[str, ...], root: Path) -> bool:
    start = time.monotonic()
    code = _run(arguments, root)
    print(f"   {'ok' if code == 0 else 'failed'} after {time.monotonic() - start:.1f} s", flush=True)
    return code == 0


def _run(arguments: tuple[str, ...], root: Path) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=root, env=_environment(), check=False).returncode


def _both_halves_pass(arguments: tuple[str, ...], root: Path) -> bool:
    """Run one half in sight and the other beside it; what the other says follows, so that nothing is mixed up."""
    beside, in_sight = HALVES
    with tempfile.TemporaryFile("w+") as said:
        other = subprocess.Popen(
            [sys.executable, *arguments, *beside],
            cwd=root,
            env=_environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            code = _run((*arguments, *in_sight), root)
            other_code = other.wait()
        finally:
            other.kill()
            other.wait()
            said.seek(0)
            print(said.read(), end="", flush=True)
    return code == other_code == 0


def _environment() -> dict[str, str]:
    """Return ours without what the launcher set, and with the environment's own programs first on PATH."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return {**kept, "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))}
