"""Certificate -> its file and its report, beside those of before.

Where nobody says where, each certificate gets a file of its own in a folder beside the ledger, so that none that a
gateway heeds is exchanged unasked. Where somebody does, whatever stood there before is kept under its own time. Knows
no configuration.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from router.certificate import Certificate, dump
from router.certifying.report import markdown

REPORT: Final = ".md"
PARTIAL: Final = ".partial"

_RUN: Final = 16  # of the digits that name a run: enough that two of one folder never meet


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a certificate lies.

    Attributes:
        certificate: the file that a configuration may name.
        report: the same for people, in Markdown.
        earlier: where the certificate lies that stood there before; None where none did.
    """

    certificate: Path
    report: Path
    earlier: Path | None = None


def folder_beside(ledger: Path) -> Path:
    """Return the folder for certificates that nobody chose a place for."""
    return ledger.with_name(f"{ledger.stem}-certificates")


def answers_beside(place: Path) -> Path:
    """Return where answers are kept on the way: a file beside the certificate's, or the folder that it will be in."""
    return place if place.is_dir() else place.with_name(f"{place.name}{PARTIAL}")


def answers_of(run: str, place: Path) -> Path:
    """Return the file that holds a run's answers; in a folder each run has its own, and none is in another's way."""
    return place / f"{run[:_RUN]}{PARTIAL}" if place.is_dir() else place


def save(certificate: Certificate, place: Path) -> Saved:
    """Write a certificate and its report; what stood there before keeps its bytes, under another name.

    Args:
        place: a file, or a folder that is there.

    Raises:
        OSError: it cannot be written; what stood there before is there still.
    """
    if place.is_dir():
        out, earlier = _free(place / "certificate.json", certificate.made), None
    else:
        out, earlier = place, (_kept(place) if place.is_file() else None)
    report = out.with_suffix(REPORT)
    try:
        _write({report: markdown(certificate).encode(), out: dump(certificate)})
    except OSError:
        _give_back(out)
        raise
    return Saved(out, report, earlier)


def _kept(out: Path) -> Path:
    """Copy what stands at a place to a name with its time in it, report and all, and return that name."""
    kept = _free(out, out.stat().st_mtime)
    both = ((out, kept), (out.with_suffix(REPORT), kept.with_suffix(REPORT)))
    try:
        _write({new: old.read_bytes() for old, new in both if old.is_file()})
    except OSError:
        _give_back(kept)
        raise
    return kept


def _free(out: Path, moment: float) -> Path:
    """Take a name with a moment in it that neither a certificate nor a report has yet, and return it.

    An empty file is made there: whoever ends in the same second takes another one.
    """
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
    for more in _numbered():
        name = out.with_stem(f"{out.stem}-{stamp}{more}")
        if name.with_suffix(REPORT).exists():
            continue
        with suppress(FileExistsError):
            name.touch(exist_ok=False)
            return name
    raise AssertionError("there is a number that nobody has")


def _give_back(name: Path) -> None:
    """Remove a name that was taken, and never written to."""
    with suppress(OSError):
        if name.is_file() and not name.stat().st_size:
            name.unlink()


def _numbered() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in count(2))


def _write(contents: Mapping[Path, bytes]) -> None:
    """Write files as wholes, so that a gateway that reads one meanwhile gets that of before or this one.

    Nothing is exchanged before there was room for all of them, and nothing half written is left behind.
    """
    whole = {path: path.with_name(f"{path.name}.{os.getpid()}.tmp") for path in contents if _can_be_exchanged(path)}
    try:
        for path, content in contents.items():
            with whole.get(path, path).open("wb") as file:
                file.write(content)
                file.flush()
                if path in whole:
                    os.fsync(file.fileno())
        for path, written in whole.items():
            written.replace(path)
    finally:
        for written in whole.values():
            with suppress(OSError):
                written.unlink(missing_ok=True)


def _can_be_exchanged(path: Path) -> bool:
    """Tell whether a file may take a place: that of a pipe, say, it may not."""
    return path.is_file() or not path.exists()
