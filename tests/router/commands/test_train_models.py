"""Tests `router/commands/train_models.py`; the training itself is tested where it lives."""

from pathlib import Path

import pytest

from router.commands import train_models as train_models_command
from router.commands.program import run


def test_without_torch_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_models_command, "find_spec", lambda name: None if name == "torch" else object())
    assert run(["train-models", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "torch cannot be imported" in said
    assert "deploy/locks/train.txt" in said
    assert not (tmp_path / "out").exists()


def test_seeds_that_are_none_are_a_slip(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train-models", "--seeds", "0,one"]) == 2
    assert "'0,one' is no list of seeds (--seeds)" in capsys.readouterr().err


def test_the_recipe_gets_folder_seeds_and_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    class Building:
        @staticmethod
        def build(out: Path, **rest: object) -> None:
            asked.extend([out.is_dir(), rest.pop("seeds"), rest.pop("steps")])
            rest["say"]("step 1")  # type: ignore[operator]  # what is kept as an object is the caller's function

    monkeypatch.setattr(train_models_command, "find_spec", lambda _: object())
    monkeypatch.setattr("importlib.import_module", lambda _: Building)
    # The program itself finds its commands by that function, so the command is called as what it is.
    train_models_command.train_models(seeds="3,4", out=tmp_path / "out", steps=5)
    assert asked == [True, (3, 4), 5]
    assert capsys.readouterr().err == "step 1\n"
