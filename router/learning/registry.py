"""A folder -> versions of the classifier, and which of them serves.

    versions/ID/    weights as they came, their card, about.json
    standing.json   who serves, who is compared, what happened; replaced as a whole
    lock            held by whoever changes anything

Several processes may share a folder: each change reads what stands, under the lock, before it writes. Versions are
never changed and never removed. Knows nothing of labels or losses.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from classifier.base import Classifier, ClassifierError, Prompt
from classifier.options import ClassifierOptions
from classifier.regular_files import open_regular, read_regular
from router.learning.standing import Contest, Standing, began, challenged, observed

ABOUT = "about.json"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a damaged file makes the reader raise
STANDING = "standing.json"
_ID_DIGITS = 8
_SAFE = re.compile(r"[^A-Za-z0-9._@-]")

Use = Literal["linear", "encoder"]


class RegistryError(Exception):
    """The registry cannot be used or refuses what was asked; the message says why and what to do."""


class Version(Struct, frozen=True):
    """One set of weights.

    Attributes:
        id: the name of its folder.
        source: what stands in the scores that it gives.
        use: the kind of classifier, as in the configuration.
        weights: file or folder, below its own folder.
        added: seconds since 1970.
    """

    id: str
    source: str
    use: Use
    weights: str
    added: float


class Registry:
    """One folder; nothing is held open between calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._standing = folder / STANDING

    def begin(self, weights: Path, use: Use, *, now: float) -> Standing:
        """Return how things stand; where nothing stands yet, these weights are the first champion.

        Raises:
            RegistryError: the folder cannot be written or read.
            WeightsError: the weights cannot be used.
        """
        with self._changing():
            standing = self._read()
            if standing is None:
                standing = began(self._add(weights, use, now=now).id, now=now)
                self._write(standing)
            return standing

    def challenge(self, weights: Path, use: Use, *, now: float) -> Standing:
        """Register weights as the challenger of the champion.

        Raises:
            RegistryError: no champion yet, or another version has the same source.
            WeightsError: the weights cannot be used.
            NotNow: these weights serve already.
        """
        with self._changing():
            standing = self._known()
            standing = challenged(standing, self._add(weights, use, now=now).id, now=now)
            self._write(standing)
            return standing

    def change(self, move: Callable[[Standing], Standing]) -> Standing:
        """Make a move from how things stand, and return how they stand then.

        Raises:
            RegistryError: nothing stands yet, or the folder cannot be written.
            NotNow: the move does not fit.
        """
        with self._changing():
            standing = move(self._known())
            self._write(standing)
            return standing

    def observe(self, contest: Contest, difference: float, *, now: float) -> Standing:
        """Add one difference to a contest, if that one still goes on, and return how things stand then."""

        def add(standing: Standing) -> Standing:
            current = standing.contest
            if current is None or (current.rival, current.since) != (contest.rival, contest.since):
                return standing
            return observed(standing, difference, now=now)

        return self.change(add)

    def standing(self) -> Standing:
        """Return how things stand.

        Raises:
            RegistryError: nothing stands yet, or it cannot be read.
        """
        return self._known()

    def look(self) -> Standing | None:
        """Return how things stand, None where `begin` would begin; creates and changes nothing.

        Raises:
            RegistryError: the folder could not be written, or what is in it cannot be read.
        """
        try:
            place = next(each for each in (self.folder, *self.folder.parents) if each.exists())
            is_writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
        except OSError as error:
            raise RegistryError(f"{self.folder}: cannot be written: {error.strerror or error}") from error
        if not is_writable:
            raise RegistryError(f"{self.folder}: cannot be written: {place} is no folder that may be written")
        standing = self._read()
        if standing is None:
            self.versions()
        return standing

    def stamp(self) -> int:
        """Return a number that changes whenever the standing does; 0 where there is none."""
        try:
            return self._standing.stat().st_mtime_ns
        except OSError:
            return 0

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        found = (self._about(path.parent.name) for path in self.folder.glob(f"versions/*/{ABOUT}"))
        return sorted(found, key=lambda version: (version.added, version.id))

    def version(self, version_id: str) -> Version:
        """Return one version; raises `RegistryError` where there is none."""
        return self._about(version_id)

    def load(self, version_id: str) -> Classifier:
        """Return the classifier of a version.

        Raises:
            RegistryError: there is no such version.
            WeightsError: its weights are damaged, or of another version of this program.
        """
        version = self._about(version_id)
        return _built(self._place(version_id) / version.weights, version.use)

    def _place(self, version_id: str) -> Path:
        return self.folder / "versions" / version_id

    def _add(self, weights: Path, use: Use, *, now: float) -> Version:
        """Copy weights into the registry, unless they are there; a half-made copy is never seen."""
        source = _built(weights, use).score(Prompt(())).source
        digest = _digest(weights)[:_ID_DIGITS]
        version = Version(f"{_SAFE.sub('_', source)[:64]}-{digest}", source, use, weights.name, now)
        for known in self.versions():
            if known.id == version.id:
                return known
            if known.source == source:
                raise RegistryError(
                    f"the source {source} is that of {known.id} already, with other weights: "
                    "fit them with another --version, so that scores and kept replies tell them apart"
                )
        place, making = self._place(version.id), self.folder / "versions" / f".{version.id}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        (shutil.copytree if weights.is_dir() else shutil.copyfile)(weights, making / weights.name)
        card = weights.with_suffix(".md")
        if card.is_file():
            shutil.copyfile(card, making / "card.md")
        (making / ABOUT).write_bytes(msgspec.json.encode(version))
        making.replace(place)
        return version

    def _about(self, version_id: str) -> Version:
        path = self._place(version_id) / ABOUT
        try:
            return msgspec.json.decode(read_regular(path), type=Version)
        except (OSError, *_UNREADABLE) as error:
            raise RegistryError(f"{path}: the version cannot be read: {error}") from error

    def _known(self) -> Standing:
        standing = self._read()
        if standing is None:
            raise RegistryError(f"{self._standing}: no version serves yet; start the gateway with this registry first")
        return standing

    def _read(self) -> Standing | None:
        try:
            return msgspec.json.decode(read_regular(self._standing), type=Standing)
        except FileNotFoundError:
            return None
        except (OSError, *_UNREADABLE) as error:
            raise RegistryError(f"{self._standing}: cannot be read: {error}; restore it from a copy") from error

    def _write(self, standing: Standing) -> None:
        """Put the new state in the place of the old one: whoever reads sees one of them, whole."""
        fresh = self.folder / f".{STANDING}"
        with fresh.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(standing), indent=1))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._standing)

    @contextmanager
    def _changing(self) -> Generator[None, None, None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise RegistryError(f"{self.folder}: cannot be written: {error.strerror or error}") from error


def _built(weights: Path, use: Use) -> Classifier:
    classifier = ClassifierOptions(use=use, weights=weights).build()
    if classifier is None:
        raise ClassifierError(f"{weights}: gives no classifier")
    return classifier


def _digest(weights: Path) -> str:
    """Return a fingerprint of a file, or of the names and the bytes of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(weights.rglob("*")) if weights.is_dir() else [weights]:
        if path.is_file():
            digest.update(f"{path.relative_to(weights)}\0{path.stat().st_size}\0".encode())
            with open_regular(path) as file:
                digest.update(file.read())
    return digest.hexdigest()
