"""Certificate -> its file and its report, beside those of before.

Where nobody says where, each certificate gets a file of its own in a folder beside the ledger, so that none that a
gateway heeds is exchanged unasked. Where somebody does, whatever stood there before is kept under its own time. Knows
no configuration.
"""

from collections.abc import Iterator
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
    _write(report, markdown(certificate).encode())
    _write(out, dump(certificate))
    return Saved(out, report, earlier)


def _kept(out: Path) -> Path:
    """Copy what stands at a place to a name with its time in it, report and all, and return that name."""
    kept = _free(out, out.stat().st_mtime)
    for old, new in ((out, kept), (out.with_suffix(REPORT), kept.with_suffix(REPORT))):
        if old.is_file():
            _write(new, old.read_bytes())
    return kept


def _free(out: Path, moment: float) -> Path:
    """Return a name with a moment in it that neither a certificate nor a report has yet."""
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (out.with_stem(f"{out.stem}-{stamp}{more}") for more in _numbered())
    return next(name for name in names if not (name.exists() or name.with_suffix(REPORT).exists()))


def _numbered() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in count(2))


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole, so that a gateway that reads it meanwhile gets the one before or this one."""
    if path.exists() and not path.is_file():  # such as a pipe, which cannot be exchanged
        path.write_bytes(content)
        return
    whole = path.with_name(f"{path.name}.tmp")
    whole.write_bytes(content)
    whole.replace(path)
