"""The checkout -> format, lint, types, contracts and tests, in that order, up to the first that fails."""

import os
import subprocess
import sys
import sysconfig
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
AT_ONCE = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "-o", "tmp_path_retention_policy=failed")
"""All tests, a file for each process at a time, and one process more than cores, since many tests wait for others.

What a test wrote is removed with it, unless it failed.
"""

MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's own place for files that are in memory alone
AMPLE = 4 << 30  # bytes that must be free there; the tests hold some hundred megabytes at a time


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
            passes = _run((*arguments, *AT_ONCE), root) == 0
        if not passes:
            raise Exit(1)


def _passes(arguments: tuple[str, ...], root: Path) -> bool:
    start = time.monotonic()
    code = _run(arguments, root)
    print(f"   {'ok' if code == 0 else 'failed'} after {time.monotonic() - start:.1f} s", flush=True)
    return code == 0


def _run(arguments: tuple[str, ...], root: Path) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=root, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    """Return ours without what the launcher set, and with the environment's own programs first on PATH.

    What computes takes one thread for each process: the processes are as many as the cores already.
    """
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return {
        "OMP_NUM_THREADS": "1",
        **_place_for_files(),
        **kept,
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))),
    }


def _place_for_files() -> dict[str, str]:
    """Return where programs put files that do not stay: in memory, where there is plenty, and programs may be run.

    Tests open a thousand ledgers; on a disk, which each of them waits for, that takes a sixth more of CPU.
    """
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return {}
    is_fit = room.f_bavail * room.f_frsize >= AMPLE and not room.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)
    return {"TMPDIR": str(MEMORY)} if is_fit else {}
