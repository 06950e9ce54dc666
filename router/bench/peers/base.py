"""The words of a comparison: a gateway of somebody else's, and what it cost.

No process is started here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Install = Callable[[Path], None]
"""Puts a peer into an empty folder of its own; raises `CannotInstall`."""


class CannotInstall(Exception):
    """A peer cannot be had on this machine; says what is missing."""


@dataclass(frozen=True, slots=True)
class Started:
    """How a peer is started in front of an upstream.

    Attributes:
        command: to run; it listens on the port that it was made for.
        environment: in addition to ours.
        headers: that each request to it needs.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """One gateway to compare with.

    Attributes:
        name: as people know it.
        version: that is installed; "" where the system's own is taken.
        at_most: our CPU a request as a share of its, that is the goal.
        install: see `Install`; what it makes is kept for the next run.
        start: (folder that it is installed in, empty folder, port, address of the upstream) -> how it is started.
        streams: it can hold a hundred streams, so that its chunks are counted too.
    """

    name: str
    version: str
    at_most: float
    install: Install
    start: Callable[[Path, Path, int, str], Started]
    streams: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    """What one short load cost.

    Attributes:
        request_us: CPU microseconds of its whole process tree for each right answer.
        chunk_us: likewise for each chunk of a stream; None where it was not asked for streams.
        rss_mb: resident, millions of bytes, at rest after the load.
    """

    request_us: float
    chunk_us: float | None
    rss_mb: float
