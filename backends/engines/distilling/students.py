"""GGUF file or folder -> a model that can be fine-tuned, or the reason why not.

Of GGUF files those of the desk are read; any other model is given as its folder. What is fine-tuned is dense: an
adapter for a mixture of experts would leave its experts, and so nearly all of it, as they are. Needs the extra
`[train]`.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from backends.engines.base import ModelRefused
from backends.engines.desk import gguf_reading
from backends.engines.distilling.base import Student
from backends.engines.gguf_head import check_is_gguf

KINDS: Final = ("mistral", "llama")
"""Of models, by transformers' name; llama.cpp calls both "llama"."""

_NORMS: Final = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def open_student(source: Path) -> Student:
    """Return a model with its weights in float32, on the CPU.

    Raises:
        ModelRefused: it cannot be fine-tuned; nothing was trained.
    """
    student = _from_folder(source) if source.is_dir() else _from_gguf(source)
    if not student.tokenizer.chat_template:
        raise ModelRefused(f"{source} has no chat template, so nobody knows how it is asked; add one to its tokenizer")
    return student


def _from_gguf(source: Path) -> Student:
    check_is_gguf(source)
    try:
        tokenizer, model = gguf_reading.read_tokenizer(source), gguf_reading.read_model(source)
    except KeyError as error:
        raise ModelRefused(f"{source} does not tell {error}: give the folder that it was converted from") from error
    _check_kind(model.config.model_type, source)
    return Student(source, "llama_cpp", model, tokenizer, source.stem, norms_of(model))


def _from_folder(source: Path) -> Student:
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        _check_kind(config.model_type, source)
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            source, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ModelRefused(
            f"cannot read {source} as a model: {reason}; give a folder that transformers wrote"
        ) from error
    return Student(source, "transformers", model.eval(), tokenizer, source.resolve().name, norms_of(model))


def norms_of(model: Any) -> str:  # noqa: ANN401 - transformers has no types
    """Return the digest by which `gguf_head` tells models of one shape apart, of a model that is in no GGUF file."""
    norms = {
        _named_by_llama_cpp(name): values.detach().float().cpu().numpy().tobytes()
        for name, values in model.state_dict().items()
        if name.endswith("norm.weight")
    }
    return hashlib.sha256(b"".join(norms[name] for name in sorted(norms))).hexdigest()


def _named_by_llama_cpp(norm: str) -> str:
    """Return llama.cpp's name: "model.layers.0.input_layernorm.weight" is "blk.0.attn_norm.weight"."""
    *_, layer, kind, _ = norm.split(".")
    return f"blk.{layer}.{_NORMS[kind]}.weight" if kind in _NORMS else "output_norm.weight"


def _check_kind(kind: str, source: Path) -> None:
    if kind not in KINDS:
        raise ModelRefused(
            f"{source} holds a model of the kind {kind!r}, and {' and '.join(KINDS)} are fine-tuned: give the Mini"
        )
