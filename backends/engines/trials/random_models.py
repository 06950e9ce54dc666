"""Shapes -> folders with models of random weights, as the torch engine loads them.

For measuring time, memory and exactness, none of which depends on what a model has learnt. Their tokenizer is that of
the desk. Needs the extra `[train]`.
"""

from pathlib import Path
from typing import Any, Final

import torch
from transformers import MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM
from transformers.utils.logging import disable_progress_bar

from backends.engines.desk import gguf_file
from backends.engines.desk.gguf_reading import read_tokenizer
from backends.engines.options import MODELS
from backends.engines.trials.base import MIXTRAL, Shape, Written

_SPREAD: Final = 0.08
"""Standard deviation of weights: wide enough for answers to depend on the whole prompt and not on its last token."""

_EXPERTS: Final = 8
_OF_THEM: Final = 2  # compute a token


def measure(
    *, folder: str, shapes: list[Shape], draft_noise: float = 0.0, gguf: bool = False, seed: int = 1
) -> list[Written]:
    """Write a model of each shape.

    Args:
        folder: gets a folder for each, named for its kind.
        draft_noise: beside each write a draft model: the same weights, but for noise of this share of their spread, so
            that it is sometimes right and sometimes wrong; 0 writes none.
        gguf: write each for llama.cpp, too.
    """
    disable_progress_bar()
    return [_written(Path(folder), shape, draft_noise=draft_noise, gguf=gguf, seed=seed) for shape in shapes]


def _written(folder: Path, shape: Shape, *, draft_noise: float, gguf: bool, seed: int) -> Written:
    path = folder / shape.kind
    model = _drawn(shape, seed)
    tokenizer = read_tokenizer(MODELS / "desk-large.gguf")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    if gguf:
        file = path.with_suffix(".gguf")
        gguf_file.write(file, name=shape.kind, model=model, tokenizer=tokenizer.backend_tokenizer, in_16_bits=True)
    count = sum(parameter.numel() for parameter in model.parameters())
    draft = ""
    if draft_noise:
        _disturb(model, draft_noise, seed)
        draft = f"{path}-draft"
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    return Written(
        shape=shape,
        folder=str(path),
        draft=draft,
        gguf=str(path.with_suffix(".gguf")) if gguf else "",
        parameters=count,
        active=active_parameters(shape),
    )


def active_parameters(shape: Shape) -> int:
    """Return how many weights take part in one token's computation; an embedding is looked up, not computed."""
    dim = shape.hidden // shape.heads
    attention = 2 * shape.hidden * dim * (shape.heads + shape.kv_heads)
    matrices = 3 * shape.hidden * shape.feed_forward * (_OF_THEM if shape.kind == MIXTRAL else 1)
    return shape.layers * (attention + matrices) + shape.hidden * shape.vocabulary


def _drawn(shape: Shape, seed: int) -> Any:  # noqa: ANN401 - transformers has no types
    """Return the model; on the accelerator where there is one, since a CPU draws billions of numbers slowly."""
    torch.manual_seed(seed)
    config: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.context,
        "sliding_window": shape.window,
        "initializer_range": _SPREAD if shape.dtype == "float32" else 0.02,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, shape.dtype))
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            if shape.kind == MIXTRAL:
                experts = {"num_local_experts": _EXPERTS, "num_experts_per_tok": _OF_THEM}
                return MixtralForCausalLM(MixtralConfig(**config, **experts))
            return MistralForCausalLM(MistralConfig(**config))
    finally:
        torch.set_default_dtype(before)


def _disturb(model: Any, share: float, seed: int) -> None:  # noqa: ANN401 - likewise
    chance = torch.Generator(model.device).manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                noise = torch.randn(parameter.shape, generator=chance, device=parameter.device, dtype=parameter.dtype)
                parameter.add_(noise * (share * parameter.std()))
