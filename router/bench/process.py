"""A process id -> CPU seconds and resident bytes of its tree.

Reads Linux's /proc, where a process's CPU time counts its ended threads too.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment.

    Attributes:
        name: of the executable, at most 15 characters.
        cpu: user and system seconds since it began, without its children.
        rss: resident bytes, shared pages included.
    """

    pid: int
    parent: int
    name: str
    cpu: float
    rss: int


def read_process(pid: int) -> Process:
    """Return what one process has used.

    Raises:
        ProcessLookupError: there is none of that id.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process {pid}: it ended, or never was") from error
    # The name stands in brackets and may itself hold brackets and blanks: proc_pid_stat(5).
    name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    user, system, pages = int(rest[11]), int(rest[12]), int(rest[21])
    return Process(pid=pid, parent=int(rest[1]), name=name, cpu=(user + system) / _TICKS, rss=pages * _PAGE)


def read_tree(pid: int) -> tuple[Process, ...]:
    """Return a process and all that descend from it, itself first.

    Raises:
        ProcessLookupError: there is none of that id.
    """
    root = read_process(pid)
    children: dict[int, list[Process]] = {}
    for process in _all_processes():
        children.setdefault(process.parent, []).append(process)
    found = [root]
    for process in found:  # grows while it is walked
        found.extend(children.get(process.pid, ()))
    return tuple(found)


def _all_processes() -> list[Process]:
    """Return every process there is; the kernel's own list of children is not compiled in everywhere."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                processes.append(read_process(int(entry.name)))
            except ProcessLookupError:  # it ended between the two looks
                continue
    return processes
