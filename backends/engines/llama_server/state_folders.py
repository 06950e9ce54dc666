"""A folder for the files of slots, in memory where there is room -> and away with those of processes that have died.

Its process holds a lock on the folder, which the kernel gives up with it, however it ends: what nobody holds is
nobody's, also where two containers share the memory and do not see each other's processes.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made within it
_ROOM: Final = 256 * 1024 * 1024
"""Bytes that must be free there; a container often has 64 MiB."""

_PREFIX: Final = "tandem-slots-"  # before the number of the process and what no other folder has


class StateFolder:
    """A folder that nobody else can read.

    Attributes:
        path: of it.
    """

    def __init__(self) -> None:
        """Make one, and remove those that nobody holds any more."""
        sweep()
        while True:
            path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_place()))
            lock = _locked(path)
            if lock is not None:
                self.path, self._lock = path, lock
                return

    def __repr__(self) -> str:
        return f"<StateFolder {self.path}>"

    def close(self) -> None:
        """Remove it, and what lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep() -> None:
    """Remove the folders of processes that have died; never raises."""
    for place in {_MEMORY, Path(tempfile.gettempdir())}:
        for path in place.glob(f"{_PREFIX}*-*"):
            lock = _locked(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _place() -> Path | None:
    """Return where a folder goes; None stands for the system's own place."""
    in_memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    return _MEMORY if in_memory else None


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds a folder; None where somebody else does, or it is gone or another user's."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(lock)):  # else it was swept, before it was held
            return lock
    os.close(lock)
    return None
