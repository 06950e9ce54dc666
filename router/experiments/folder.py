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
from typing import Final

import msgspec

from classifier.regular_files import read_regular
from router.experiments.overrides import Plan
from router.experiments.standing import NotAllowed, Standing, fault_of, started, widened

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # of a damaged file

Marks = tuple[tuple[str, int, int], ...]
"""Names, inodes and times of files: equal where nothing was changed."""


def begun_at(standing: Standing) -> tuple[float, str]:
    """Return what experiments are ordered by: of several, the one that began first takes units first."""
    return standing.started, standing.id


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
            if before is not None and standing is not before:
                self._refuse_taking(standing)
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
        """Have more units take part; raises as `change` does, also where a later experiment would lose them."""

        def move(before: Standing) -> Standing:
            after = widened(before, share, now=now)
            if after is not before:
                self._refuse_taking(after)
            return after

        return self.change(id_, move)

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
        found, faults = self.readable()
        for fault in faults:
            raise fault
        return found

    def readable(self) -> tuple[tuple[Standing, ...], tuple[FolderError, ...]]:
        """Return how those stand that can be read, in the order in which they began, and why others cannot."""
        found, faults = list[Standing](), list[FolderError]()
        try:
            files = sorted(self.path.glob("*.json"))
        except OSError as error:
            return (), (FolderError(f"{self.path}: cannot be read: {error.strerror or error}"),)
        for path in files:
            try:
                standing = self._read(path)
            except FolderError as fault:
                faults.append(fault)
                continue
            if standing is not None:
                found.append(standing)
        return tuple(sorted(found, key=begun_at)), tuple(faults)

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
            if other.stopped is None and other.values.get("allocation") == "thompson":
                raise NotAllowed(
                    f"{other.id} draws anew who takes part, so that units would leave the arms of {id_}; stop it first"
                )

    def _refuse_taking(self, wider: Standing) -> None:
        """Refuse a ramp that takes units out of the arms of an experiment that began later."""
        for other in self.standings():
            if other.stopped is None and begun_at(other) > begun_at(wider):
                raise NotAllowed(
                    f"{other.id} runs on the units that {wider.id} leaves, and a wider ramp would take some out of its "
                    f"arms; stop {other.id} first"
                )

    def _file(self, id_: str) -> Path:
        return self.path / f"{id_}.json"

    def _read(self, path: Path) -> Standing | None:
        try:
            standing = msgspec.json.decode(read_regular(path), type=Standing)
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
