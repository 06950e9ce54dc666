"""Tests router/commands/writing.py."""

from pathlib import Path

import pytest

from router.commands.errors import CommandFailed
from router.commands.writing import writing


def test_a_file_that_cannot_be_written_is_named_with_the_option_to_change(tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "out.svg"
    with pytest.raises(CommandFailed) as found, writing(out, option="--svg"):
        out.write_text("x", encoding="utf-8")
    said = found.value
    assert "cannot be written: No such file or directory" in str(said)
    assert said.where == str(out)
    assert said.advice == "choose another --svg"


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), writing(Path("x")):
        raise KeyError("x")
