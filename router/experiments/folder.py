"""A folder -> how each experiment stands.

    ID.json    one experiment; replaced as a whole
    lock       held by whoever changes anything

Several processes may share a folder: each change reads what stands, under the lock, before it writes. Experiments are
never removed. Knows nothing of arms or figures.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from router.experiments.overrides import Plan
from router.experiments.standing import NotAllowed, Standing, fault_of, started, widened

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a damaged file makes the reader raise

Marks = tuple[tuple[str, int, int], ...]
"""Names, inodes and times of files: equal where nothing was changed."""


class FolderError(Exception):
    """The folder cannot be used; the message says why."""


class Folder:
    """One folder; nothing is held open between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, plan: Plan, *, now: float, ramp: Decimal | None = None) -> Standing:
        """Have an experiment run, or widen one that does.

        Args:
            ramp: instead of the file's.

        Raises:
            NotAllowed: another definition runs under its id, it was stopped, or another one leaves it no units.
            FolderError: the folder cannot be written or read.
        """
        experiment = plan.experiment if ramp is None else plan.experiment.model_copy(update={"ramp": ramp})
        with self._changing():
            before = self._read(self._file(experiment.id))
            if before is None:
                self._refuse_crowding(experiment.id)
            standing = started(experiment, plan.values, salt=secrets.token_hex(16), now=now, before=before)
            self._write(standing)
            return standing

    def change(self, id_: str, move: Callable[[Standing], Standing]) -> Standing:
        """Make a move from how an experiment stands, and return how it stands then.

        Raises:
            NotAllowed: there is none of this id, or the move does not fit.
            FolderError: the folder cannot be written or read.
        """
        with self._changing():
            before = self.standing(id_)
            after = move(before)
            if after is not before:
                self._write(after)
            return after

    def widen(self, id_: str, share: Decimal, *, now: float) -> Standing:
        """Have more units take part; raises as `change` does."""
        return self.change(id_, lambda standing: widened(standing, share, now=now))

    def standing(self, id_: str) -> Standing:
        """Return how one stands.

        Raises:
            NotAllowed: there is none of this id.
            FolderError: it cannot be read.
        """
        found = None if "/" in id_ or id_.startswith(".") else self._read(self._file(id_))
        if found is None:
            known = ", ".join(each.id for each in self.standings()) or "none"
            raise NotAllowed(f"there is no experiment {id_!r} in {self.path}; known are {known}")
        return found

    def standings(self) -> tuple[Standing, ...]:
        """Return how all stand, in the order in which they began.

        Raises:
            FolderError: one cannot be read.
        """
        found = [self._read(path) for path in sorted(self.path.glob("*.json"))]
        return tuple(sorted((each for each in found if each is not None), key=lambda each: (each.started, each.id)))

    def marks(self) -> Marks:
        """Return what is other as soon as anything is; costs no reading."""
        try:
            with os.scandir(self.path) as entries:
                seen = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".json")]
        except OSError:
            return ()
        return tuple(sorted((name, stat.st_ino, stat.st_mtime_ns) for name, stat in seen))

    def _refuse_crowding(self, id_: str) -> None:
        for other in self.standings():
            if other.stopped is None and other.ramp == 1:
                raise NotAllowed(
                    f"{other.id} runs and takes all units, so that {id_} would get none; stop it first, or begin both "
                    "with a ramp below 1"
                )

    def _file(self, id_: str) -> Path:
        return self.path / f"{id_}.json"

    def _read(self, path: Path) -> Standing | None:
        try:
            standing = msgspec.json.decode(path.read_bytes(), type=Standing)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{path}: cannot be read: {error.strerror or error}") from error
        except _UNREADABLE as error:
            raise FolderError(f"{path}: is damaged: {error}") from error
        fault = fault_of(standing) or ("" if standing.id == path.stem else f"it is the file of {standing.id!r}")
        if fault:
            raise FolderError(f"{path}: is damaged: {fault}")
        return standing

    def _write(self, standing: Standing) -> None:
        path = self._file(standing.id)
        whole = path.with_suffix(".tmp")
        with whole.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(standing)))
            file.flush()
            os.fsync(file.fileno())
        whole.replace(path)

    @contextmanager
    def _changing(self) -> Generator[None, None, None]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / "lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error.strerror or error}") from error
