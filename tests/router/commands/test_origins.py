"""Tests `router/commands/origins.py` and what `router/__main__.py` makes of it."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from router.commands.origins import checkout, origins, strays

ROOT = Path(__file__).resolve().parents[3]


def test_the_four_packages_come_from_the_checkout() -> None:
    assert set(origins().values()) == {ROOT}
    assert strays() == ""
    assert checkout() == ROOT


def test_a_package_of_the_same_name_from_elsewhere_ends_the_program_at_once(
    tandem: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/__init__.py").touch()
    done = tandem("version", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"cache comes from {tmp_path}" in done.stderr
    assert "PYTHONPATH" in done.stderr


def test_a_package_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.commands.origins.PACKAGES", ("router", "nowhere_at_all"))
    assert strays() == "nowhere_at_all is missing"
