"""How `./tandem test` hands the tests to its processes: tests/sharing.py, tests/conftest.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sharing import Sharing, instruct, is_left, is_shared

ROOT = Path(__file__).resolve().parents[2]
TORCH = ("tests/backends/engines/torch_engine/test_rows.py::one", "tests/backends/engines/desk/test_training.py::one")
FOLDER = tuple(f"tests/faults/test_{name}.py::{number}" for name in ("redis", "clock", "sdk") for number in range(2))
OTHERS = tuple(f"tests/router/test_{name}.py::{number}" for name in ("a", "b", "c", "d") for number in range(3))
ALL = (*OTHERS[:5], *TORCH, *FOLDER, *OTHERS[5:])
LEFT = tuple(name for name in ALL if name not in TORCH)


class Process:
    """Stands for one of pytest-xdist's: keeps what it is told to run."""

    def __init__(self, number: int, collected: tuple[str, ...]) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.workerinput: dict[str, object] = {"workercount": 3}
        self.collected = collected
        self.told: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.told += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def shared_among(processes: list[Process]) -> Sharing:
    """Return what shares out what these have collected."""
    option = SimpleNamespace(loadscopereorder=True)
    hook = SimpleNamespace(pytest_collectreport=lambda **_: None)
    config: Any = SimpleNamespace(option=option, hook=hook, getvalue=lambda _: ["popen"] * 3)
    sharing = Sharing(config)
    for process in processes:
        sharing.add_node(process)
    for process in processes:
        sharing.add_node_collection(process, process.collected)
    sharing.schedule()
    return sharing


def run_all(sharing: Sharing, processes: list[Process]) -> dict[str, Process]:
    """Run one test of each process in turn; return who ran what."""
    ran: dict[str, Process] = {}
    while any(process.told for process in processes):
        for process in processes:
            if process.told:
                index = process.told.pop(0)
                assert process.collected[index] not in ran
                ran[process.collected[index]] = process
                sharing.mark_test_complete(process, index)
    return ran


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_each_test_is_run_once_by_who_collected_it_and_a_folder_by_one(order: tuple[int, ...]) -> None:
    processes = [Process(0, ALL), Process(1, LEFT), Process(2, LEFT)]
    ran = run_all(shared_among([processes[number] for number in order]), processes)
    assert set(ran) == set(ALL)
    assert {ran[name] for name in TORCH} == {processes[0]}
    assert len({ran[name] for name in FOLDER}) == 1
    assert len({ran[name] for name in OTHERS}) > 1
    assert all(process.shutting_down for process in processes)


def test_what_only_one_can_run_begins_first_and_then_what_waits() -> None:
    processes = [Process(0, ALL), Process(1, LEFT), Process(2, LEFT)]
    shared_among(processes)
    assert [processes[0].collected[index] for index in processes[0].told[:2]] == list(TORCH)
    assert {processes[1].collected[index] for index in processes[1].told} == set(FOLDER)


def test_who_replaces_the_one_that_runs_torch_goes_on_with_it() -> None:
    processes = [Process(0, ALL), Process(1, LEFT), Process(2, LEFT)]
    sharing = shared_among(processes)
    assert sharing.remove_node(processes[0]) == TORCH[0]
    another = Process(3, ALL)
    sharing.add_node(another)
    sharing.add_node_collection(another, another.collected)
    sharing.schedule()
    ran = run_all(sharing, [*processes[1:], another])
    assert {ran[name] for name in TORCH} == {another}
    assert set(ran) == set(ALL)


@pytest.mark.parametrize("collected", [LEFT[1:], LEFT[::-1], (*LEFT, "tests/router/test_e.py::0")])
def test_processes_that_collected_different_tests_run_none(collected: tuple[str, ...]) -> None:
    processes = [Process(0, ALL), Process(1, LEFT), Process(2, collected)]
    shared_among(processes)
    assert not any(process.told for process in processes)


def test_all_but_the_first_and_who_comes_later_leave_what_wants_torch() -> None:
    wanting = [ROOT / name.partition("::")[0] for name in TORCH] + [ROOT / "tests/backends/engines/torch_engine"]
    for number, leaves in enumerate((False, True, True, False)):
        process = Process(number, ())
        instruct(process)
        config: Any = SimpleNamespace(workerinput=process.workerinput)
        assert [is_left(path, config) for path in wanting] == [leaves] * 3
        assert not is_left(ROOT / "tests/router/test_listener.py", config)
        assert not is_left(ROOT / "tests/router", config)


@pytest.mark.parametrize(
    ("processes", "dist", "source", "shared"),
    [
        (3, "loadfile", "TESTPATHS", True),
        (3, "load", "TESTPATHS", False),
        (3, "loadfile", "ARGS", False),
        (16, "loadfile", "TESTPATHS", False),
    ],
)
def test_the_whole_suite_in_a_few_processes_is_shared_so(
    processes: int, dist: str, source: str, *, shared: bool
) -> None:
    options = {"tx": ["popen"] * processes, "dist": dist}
    config: Any = SimpleNamespace(getoption=options.get, args_source=pytest.Config.ArgsSource[source])
    assert is_shared(config) is shared
