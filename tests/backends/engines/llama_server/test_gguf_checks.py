"""Tests backends/engines/llama_server/gguf_checks.py: each file that llama.cpp could not use has its own words."""

from dataclasses import replace
from pathlib import Path

import pytest

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.gguf_head import read_head
from backends.engines.llama_server.gguf_checks import check_adapter, check_draft, check_files, read_model
from tests.backends.engines.gguf_writing import Entry, head, write_adapter

MODELS = Path(__file__).resolve().parents[4] / "backends" / "engines" / "models"
LARGE, MINI = MODELS / "desk-large.gguf", MODELS / "desk-mini.gguf"
TOKENIZER: dict[str, Entry] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b"],
}


def written(folder: Path, entries: dict[str, Entry]) -> Path:
    path = folder / "written.gguf"
    path.write_bytes(head(entries=entries))
    return path


def test_the_shipped_pair_can_be_used_together() -> None:
    assert check_files(EngineOptions(model=LARGE, name="desk", draft=MINI)).experts == 8


@pytest.mark.parametrize("architecture", ["gemma3", "qwen2", "mamba", "bert"])
def test_every_architecture_that_llama_cpp_knows_passes(tmp_path: Path, architecture: str) -> None:
    pytest.importorskip("xllamacpp")
    assert read_model(written(tmp_path, {"general.architecture": architecture, **TOKENIZER})).architecture


def test_an_architecture_that_llama_cpp_does_not_know_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(ModelRefused, match="'llamatron', which this"):
        read_model(written(tmp_path, {"general.architecture": "llamatron", **TOKENIZER}))


def test_a_model_without_architecture_or_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="does not say of what architecture"):
        read_model(written(tmp_path, TOKENIZER))
    with pytest.raises(ModelRefused, match="holds no tokenizer"):
        read_model(written(tmp_path, {"general.architecture": "llama"}))


def test_a_model_that_was_cut_short_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(MINI.read_bytes()[:50_000])
    with pytest.raises(ModelRefused, match="cut short by 36816 bytes"):
        read_model(cut)


def test_an_adapter_is_no_model_and_a_model_no_adapter(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter.gguf", MINI, seed=1)
    with pytest.raises(ModelRefused, match="holds no model but an adapter"):
        read_model(adapter)
    with pytest.raises(ModelRefused, match="is no LoRA adapter"):
        check_adapter("polite", read_head(MINI), base=read_head(LARGE))


def test_an_adapter_fits_its_own_model_alone(tmp_path: Path) -> None:
    adapter = read_head(write_adapter(tmp_path / "adapter.gguf", MINI, seed=1))
    check_adapter("polite", adapter, base=read_head(MINI))
    with pytest.raises(ModelRefused, match=r"made for another model: .* is 32 wide, the model's tensor 128"):
        check_adapter("polite", adapter, base=read_head(LARGE))
    with pytest.raises(ModelRefused, match="architecture 'llama', but the model is 'gemma3'"):
        check_adapter("polite", adapter, base=replace(read_head(MINI), architecture="gemma3"))
    with pytest.raises(ModelRefused, match="no tensor"):
        check_adapter("polite", replace(adapter, tensors={"blk.9.x.lora_a": (1, 1)}), base=read_head(MINI))
    with pytest.raises(ModelRefused, match="cut short"):
        check_adapter("polite", replace(adapter, missing=3), base=read_head(MINI))
    with pytest.raises(ModelRefused, match="holds no tensors"):
        check_adapter("polite", replace(adapter, tensors={}), base=read_head(MINI))


def test_a_draft_model_of_other_tokens_is_refused() -> None:
    base = read_head(LARGE)
    check_draft(replace(read_head(MINI), tokens=(*base.tokens, b"<padding>")), base=base)
    swapped = (base.tokens[1], base.tokens[0], *base.tokens[2:])
    for draft, reason in (
        (replace(base, tokenizer="llama"), "of two kinds"),
        (replace(base, tokens=base.tokens[:500]), "500 and 1024 tokens"),
        (replace(base, marks=(1, 7)), "begin and end"),
        (replace(base, tokens=swapped), "token 0"),
    ):
        with pytest.raises(ModelRefused, match=f"tokenizer mismatch.*{reason}"):
            check_draft(draft, base=base)
