"""Tests backends/engines/gguf_head.py with the shipped models and with files that nobody should have written."""

import os
import struct
from pathlib import Path

import pytest

from backends.engines.base import ModelRefused
from backends.engines.gguf_head import read_head
from tests.backends.engines.gguf_writing import head

MODELS = Path(__file__).resolve().parents[3] / "backends" / "engines" / "models"


def test_the_shipped_models_are_read() -> None:
    large, mini = read_head(MODELS / "desk-large.gguf"), read_head(MODELS / "desk-mini.gguf")
    assert (large.kind, large.architecture, large.context, large.experts) == ("model", "llama", 1024, 8)
    assert (mini.experts, mini.window, mini.file_type, mini.tokenizer) == (0, 256, "Q8_0", "gpt2")
    assert large.tokens == mini.tokens
    assert len(mini.tokens) == 1024
    assert mini.marks == (1, 2)
    assert mini.tensors["token_embd.weight"][1] == 1024
    assert (large.missing, mini.missing) == (0, 0)


def test_a_file_that_ends_within_its_weights_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = (MODELS / "desk-mini.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:50_000])
    assert read_head(cut).missing == len(whole) - 50_000


def test_a_file_that_ends_within_its_head_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = (MODELS / "desk-mini.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in (5, 8, 23, 24, 30, 200, 5000, 12_000):
        cut.write_bytes(whole[:size])
        with pytest.raises(ModelRefused, match="cut short"):
            read_head(cut)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and more", b"{}"])
def test_what_is_no_gguf_file_is_told_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelRefused, match="no GGUF file"):
        read_head(tmp_path / "other")


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="No such file"):
        read_head(tmp_path / "none.gguf")
    with pytest.raises(ModelRefused, match="Is a directory"):
        read_head(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0), "too many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "too many"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 99), "no type of value 99"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 4, 1 << 60), "cut short"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 63), "cut short"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"a", 4_000_000_000), "dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 9) + struct.pack("<IQ", 9, 1) * 9, "too deep"),
    ],
)
def test_a_head_that_lies_about_its_size_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelRefused, match=reason):
        read_head(path)


def test_a_head_that_says_little_is_read_as_little(tmp_path: Path) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(head(entries={"general.architecture": "llama", "llama.context_length": "long"}))
    found = read_head(path)
    assert (found.context, found.tokenizer, found.tokens, found.marks, found.missing) == (0, "", (), (None, None), 0)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelRefused, match="is a pipe or a device"):
        read_head(tmp_path / "pipe.gguf")
