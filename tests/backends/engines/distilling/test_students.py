"""Tests backends/engines/distilling/students.py: who can be fine-tuned, and why others cannot."""

import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")
pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks")

from backends.engines.base import ModelRefused  # noqa: E402  (after the check that it can be)
from backends.engines.distilling.students import open_student  # noqa: E402
from backends.engines.gguf_head import read_head  # noqa: E402


def saved(folder: Path, student: Any) -> Path:
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return folder


def test_a_gguf_file_and_its_folder_are_the_same_student(student: Any, mini: Path, tmp_path: Path) -> None:
    again = open_student(saved(tmp_path / "mini", student))
    assert (student.engine, again.engine) == ("llama_cpp", "transformers")
    assert student.norms == again.norms == read_head(mini).norms
    ids = torch.tensor([student.tokenizer("How are you?")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(student.model(ids).logits, again.model(ids).logits)


def test_models_of_one_shape_are_told_apart(student: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        student.model.model.norm.weight += 1e-6
    assert open_student(saved(tmp_path / "other", student)).norms != student.norms


def test_the_larger_model_is_refused_since_its_experts_would_not_learn(mini: Path) -> None:
    with pytest.raises(
        ModelRefused, match="of the kind 'mixtral', and mistral and llama are fine-tuned: give the Mini"
    ):
        open_student(mini.with_name("desk-large.gguf"))


def test_what_is_no_model_is_refused_with_its_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelRefused, match=str(path)):
            open_student(path)
    (tmp_path / "torn.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelRefused, match=r"torn\.gguf"):
        open_student(tmp_path / "torn.gguf")


def test_a_pipe_and_a_device_are_refused_and_not_waited_for(tmp_path: Path, in_time: None) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "pipe.gguf", Path("/dev/zero")):
        with pytest.raises(ModelRefused, match=f"{path} is a pipe or a device"):
            open_student(path)


def test_a_folder_without_a_chat_template_is_refused(student: Any, tmp_path: Path) -> None:
    student.tokenizer.chat_template = None
    with pytest.raises(ModelRefused, match="has no chat template"):
        open_student(saved(tmp_path / "mute", student))
