"""The command line -> a command, after a look at where the packages come from."""

import sys

from router.commands.origins import strays

try:
    from router.commands.program import run
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: {missing.name} is not installed: remove .venv and run ./tandem again") from missing


def main() -> None:
    """Run the program and leave with its exit code."""
    if wrong := strays():
        sys.exit(
            f"error: Tandem's packages do not come from one folder ({wrong}): remove the other ones from PYTHONPATH"
        )
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
