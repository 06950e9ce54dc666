"""Processes that share a file -> which of them live: each holds a lock beside it for as long as it does.

The kernel gives a lock up with its process, however that ends, so that nobody waits for the dead.
"""

import fcntl
import secrets
from pathlib import Path
from typing import IO, Final

_ENDING: Final = ".alive"


class Owner:
    """One who has the file open.

    Attributes:
        name: by which its rows are known.
    """

    def __init__(self, path: Path) -> None:
        """Show that this one lives from here on.

        Raises:
            OSError: no lock can be made beside the file.
        """
        self.name = secrets.token_hex(8)
        self._path = path
        self._lock = _locked(_lock_of(path, self.name))

    def is_alive(self, other: str) -> bool:
        """Tell whether another one, or this one itself, lives."""
        return other == self.name or not _is_free(_lock_of(self._path, other))

    def bury(self) -> None:
        """Remove the locks of the dead."""
        own = _lock_of(self._path, self.name)
        for lock in self._path.parent.glob(_lock_of(self._path, "*").name):
            if lock != own:
                _is_free(lock)

    def close(self) -> None:
        """Show no longer that this one lives."""
        _lock_of(self._path, self.name).unlink(missing_ok=True)
        self._lock.close()


def _lock_of(path: Path, owner: str) -> Path:
    return path.with_name(f"{path.name}.{owner}{_ENDING}")


def _locked(path: Path) -> IO[bytes]:
    """Return what holds the lock for as long as it is open, and the process lives.

    The file gets its name when it is locked: one that bears it and is free belongs to the dead.
    """
    made = path.with_suffix(".new")
    lock = made.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(path)
    except OSError:
        lock.close()
        raise
    return lock


def _is_free(path: Path) -> bool:
    """Tell whether nobody holds a lock any more; removes it then."""
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
