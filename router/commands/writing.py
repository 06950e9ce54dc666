"""What goes wrong where a command writes its file -> one error that names the place."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from router.commands.errors import CommandFailed


@contextmanager
def writing(out: Path, *, option: str = "--out") -> Generator[None, None, None]:
    """Run the block that writes `out`, which the user named with `option`.

    Raises:
        CommandFailed: in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise CommandFailed(
            f"cannot be written: {error.strerror}", where=str(out), advice=f"choose another {option}"
        ) from error
