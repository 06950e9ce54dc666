"""Test files -> the process of pytest-xdist that runs them, where `./tandem test` runs all of them in a few.

Torch takes five seconds of CPU to import, in each process that collects a test which wants it. Here one process
collects and runs all of those. What a folder opens once, such as a PostgreSQL, one process opens: it runs the folder.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

FOLDERS: Final = ("tests/faults/", "tests/router/ledger/", "tests/router/bench/faults/")
"""Each is run by one process, since its tests share a house or a server."""

WAITING: Final = ("tests/end_to_end/", "tests/faults/", "tests/router/running/", "tests/browser/")
"""Whose tests wait more than they compute: they begin early, so that the others do not end before them."""

FEW: Final = 5
"""With more processes than that, the one that runs all that wants torch would end last."""

_WANTS_TORCH: Final = re.compile(r"importorskip\(\"(torch|transformers|peft)\"|in \(\"torch\", ")
_LEFT: Final = "torch_is_left_to_another"


def is_shared(config: pytest.Config) -> bool:
    """Tell, in the process that hands out the tests, whether this is the whole suite in a few processes."""
    processes: int = len(config.getoption("tx") or ())
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return config.getoption("dist") == "loadfile" and is_whole and processes <= FEW


def instruct(node: Any) -> None:
    """Tell a process, before it collects, whether it leaves what wants torch to the first one.

    One that takes the place of another leaves nothing: the one that it replaces may have been the first.
    """
    number = int(node.gateway.id.removeprefix("gw"))
    node.workerinput[_LEFT] = 0 < number < node.workerinput["workercount"]


def is_left(path: Path, config: pytest.Config) -> bool:
    """Tell, in a process that collects, whether another one collects this."""
    if not getattr(config, "workerinput", {}).get(_LEFT):
        return False
    source = path / "conftest.py" if path.is_dir() else path
    return source.suffix == ".py" and source.is_file() and _wants_torch(source)


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Hands files to whichever process is free, as its base does, but a folder whole, and to none what it left."""

    registered_collections: dict[Any, list[str]]

    def schedule(self) -> None:
        """Share out what the process that collected most has collected."""
        ordered = sorted(self.registered_collections.items(), key=lambda pair: -len(pair[1]))
        self.registered_collections = dict(ordered)
        self._known = {node: frozenset(collected) for node, collected in ordered}
        super().schedule()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take what a process collected, be it all or a part."""
        self.registered_collections[node] = list(collection)

    def _check_nodes_have_same_collection(self) -> bool:
        """Tell whether each process collected, in the same order, all but what may be left to the first."""
        most, *others = self.registered_collections.values()
        for other in others:
            lacking = set(most).difference(other)
            if [name for name in most if name not in lacking] != other or not all(map(_may_be_left, lacking)):
                same: bool = super()._check_nodes_have_same_collection()  # which says where they differ
                return same
        return True

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((folder for folder in FOLDERS if path.startswith(folder)), path)

    def _assign_work_unit(self, node: Any) -> None:
        if not any(self.assigned_work.values()):
            self._put_in_order()
        able = (scope for scope, unit in self.workqueue.items() if next(iter(unit)) in self._known[node])
        chosen = next(able, None)
        if chosen is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)

    def _put_in_order(self) -> None:
        """Put first what not every process can run, then what waits, then the rest, each as it was."""
        known_to_all = frozenset[str].intersection(*self._known.values())
        turns = {
            scope: (next(iter(unit)) in known_to_all, not scope.startswith(WAITING))
            for scope, unit in self.workqueue.items()
        }
        for scope in sorted(self.workqueue, key=lambda scope: turns[scope]):
            self.workqueue.move_to_end(scope)


def _may_be_left(nodeid: str) -> bool:
    path = Path(nodeid.partition("::")[0])
    return any(source.is_file() and _wants_torch(source) for source in (path, path.with_name("conftest.py")))


def _wants_torch(source: Path) -> bool:
    return _WANTS_TORCH.search(source.read_text(encoding="utf-8")) is not None
