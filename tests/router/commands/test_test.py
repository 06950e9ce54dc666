"""Tests `router/commands/test.py`, with steps of this file's own."""

from pathlib import Path

import pytest

from router.commands import test as test_command
from router.commands.program import run

ROOT = Path(__file__).resolve().parents[3]
FINE = ("-c", "print('said by a step')")
BROKEN = ("-c", "raise SystemExit(7)")
ECHO = ("-c", "import sys; print(*sys.argv[1:], sep='|')")


def put(monkeypatch: pytest.MonkeyPatch, *steps: tuple[str, tuple[str, ...]]) -> None:
    monkeypatch.setattr(test_command, "STEPS", steps)


def test_the_steps_stand_in_the_order_of_the_manual() -> None:
    assert [name for name, _ in test_command.STEPS] == ["format", "lint", "types", "contracts", "tests"]


def test_the_first_failure_ends_the_run_with_its_name_and_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    put(monkeypatch, ("format", FINE), ("types", BROKEN), ("tests", FINE))
    assert run(["test"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[:2] == ["== format", "said by a step"]
    assert lines[2].startswith("   ok after ")
    assert lines[3] == "== types"
    assert lines[4].startswith("   failed after ")
    assert len(lines) == 5


def test_the_last_line_is_that_of_the_tests(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    put(monkeypatch, ("format", FINE), ("tests", FINE))
    assert run(["test"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "said by a step"


def test_only_the_tests_get_the_callers_arguments(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    put(monkeypatch, ("lint", ECHO), ("tests", ECHO))
    assert run(["test", "-x", "-k", "one or two", "--maxfail=1", "tests/cache"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1] == ""
    assert lines[-1] == "-x|-k|one or two|--maxfail=1|tests/cache"


def test_the_steps_run_in_the_checkout_without_the_launchers_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    look = "import os; print(os.getcwd(), *(name in os.environ for name in ('PYTHONPATH', 'PYTHONSAFEPATH')))"
    put(monkeypatch, ("tests", ("-c", look)))
    assert run(["test"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"{ROOT} False False"


def test_without_the_development_set_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(test_command, "find_spec", lambda _: None)
    assert run(["test"]) == 1
    assert "./tandem test from a checkout" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_all_tests_run_several_at_a_time(
    code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tell = f"import sys; print(*sys.argv[1:], sep='|'); raise SystemExit({code})"
    put(monkeypatch, ("tests", ("-c", tell)))
    assert run(["test"]) == code
    assert capfd.readouterr().out.splitlines() == ["== tests", "|".join(test_command.AT_ONCE)]


@pytest.mark.parametrize(
    ("free", "named", "expected"),
    [(0, None, "memory"), (1 << 60, None, None), (0, "/elsewhere", "/elsewhere")],
    ids=["plenty", "too little", "another is named"],
)
def test_files_that_do_not_stay_are_in_memory_where_there_is_plenty(
    free: int,
    named: str | None,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    if named is not None:
        monkeypatch.setenv("TMPDIR", named)
    monkeypatch.setattr(test_command, "MEMORY", tmp_path)
    monkeypatch.setattr(test_command, "AMPLE", free)
    put(monkeypatch, ("tests", ("-c", "import os; print(os.environ.get('TMPDIR'))")))
    assert run(["test"]) == 0
    found = capfd.readouterr().out.splitlines()[-1]
    assert found == str(tmp_path if expected == "memory" else expected)


def test_where_there_is_no_such_memory_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(test_command, "MEMORY", tmp_path / "none")
    put(monkeypatch, ("tests", ("-c", "import os; print(os.environ.get('TMPDIR'))")))
    assert run(["test"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "None"
