"""A GGUF file that `gguf_file` wrote -> model and tokenizer in transformers' own classes.

The way back: for the torch engine, for training on, and for measuring what a conversion cost. transformers reads a
GGUF too, but makes of a Mixtral a dense model and says nothing. Needs the extra `[train]`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from backends.engines.base import ModelRefused
from backends.engines.desk import vocabulary

_ARCHITECTURE = "llama"
_TENSORS = {
    "attn_norm": "input_layernorm.weight",
    "ffn_norm": "post_attention_layernorm.weight",
    "attn_q": "self_attn.q_proj.weight",
    "attn_k": "self_attn.k_proj.weight",
    "attn_v": "self_attn.v_proj.weight",
    "attn_output": "self_attn.o_proj.weight",
    "ffn_gate": "mlp.gate_proj.weight",
    "ffn_up": "mlp.up_proj.weight",
    "ffn_down": "mlp.down_proj.weight",
    "ffn_gate_inp": "mlp.gate.weight",
    "ffn_down_exps": "mlp.experts.down_proj",
}


def write_folder(weights: Path, folder: Path) -> None:
    """Write what a GGUF file holds as a folder that transformers, and the torch engine, load; weights in float32.

    Raises:
        ModelRefused: it is no model of the desk.
    """
    read_model(weights).save_pretrained(folder)
    read_tokenizer(weights).save_pretrained(folder)


def read_model(weights: Path) -> PreTrainedModel:
    """Return the model, its weights as float32 out of whatever they are stored in.

    Raises:
        ModelRefused: it is no model of the desk.
    """
    reader = _opened(weights)
    model = _empty(_facts(reader))
    tensors = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    state = _state(tensors, heads=model.config.num_attention_heads, kv_heads=model.config.num_key_value_heads)
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(np.array(values, dtype=np.float32)) for name, values in state.items()}, strict=False
    )
    missing = [name for name in missing if name != "lm_head.weight"]  # tied to the embedding
    if missing or unexpected:
        raise ModelRefused(f"{weights} does not fit its own description: missing {missing}, unknown {unexpected}")
    model.tie_weights()
    return model.eval()


def read_tokenizer(weights: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer with its chat template.

    Raises:
        ModelRefused: it is no model of the desk.
    """
    facts = _facts(_opened(weights))
    if facts.get("tokenizer.ggml.pre") != vocabulary.PRE_TOKENIZER:
        raise ModelRefused(
            f"{weights} splits words by {facts.get('tokenizer.ggml.pre')!r}, not as the desk's models do"
        )
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=vocabulary.BEGIN,
        eos_token=vocabulary.END,
        unk_token=vocabulary.UNKNOWN,
        pad_token=vocabulary.UNKNOWN,
    )
    wrapped.chat_template = facts["tokenizer.chat_template"]
    return wrapped


def _opened(weights: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(weights)
    except (OSError, ValueError) as error:
        raise ModelRefused(f"cannot read {weights} as GGUF: {error}; give a file that train-models wrote") from error


def _facts(reader: gguf.GGUFReader) -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items()}


def _empty(facts: Mapping[str, Any]) -> PreTrainedModel:
    """Return a model of the described shape, its weights not yet set."""
    architecture = facts.get("general.architecture")
    if architecture != _ARCHITECTURE:
        raise ModelRefused(f"the file holds a model of architecture {architecture!r}, read are those of the desk")

    def told(name: str) -> Any:  # noqa: ANN401 - a number of whichever kind
        return facts[f"{_ARCHITECTURE}.{name}"]

    shape = {
        "vocab_size": told("vocab_size"),
        "hidden_size": told("embedding_length"),
        "intermediate_size": told("feed_forward_length"),
        "num_hidden_layers": told("block_count"),
        "num_attention_heads": told("attention.head_count"),
        "num_key_value_heads": told("attention.head_count_kv"),
        "max_position_embeddings": told("context_length"),
        "rms_norm_eps": told("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": told("rope.freq_base")},
        "sliding_window": facts.get(f"{_ARCHITECTURE}.attention.sliding_window"),
        "tie_word_embeddings": True,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
    }
    if f"{_ARCHITECTURE}.expert_count" not in facts:
        return MistralForCausalLM(MistralConfig(**shape))
    experts = {"num_local_experts": told("expert_count"), "num_experts_per_tok": told("expert_used_count")}
    config = MixtralConfig(**shape, **experts)
    config._experts_implementation = "eager"  # noqa: SLF001  (no public switch; the fastest for models this small)
    return MixtralForCausalLM(config)


def _state(tensors: Mapping[str, np.ndarray], *, heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    """Return the tensors under transformers' names and in its order of rows."""
    state = {}
    for name, values in tensors.items():
        if not name.startswith("blk."):
            state[{"token_embd.weight": "model.embed_tokens.weight"}.get(name, "model.norm.weight")] = values
            continue
        _, layer, short, _ = name.split(".")
        if short in ("ffn_gate_exps", "ffn_up_exps"):
            continue  # fused below
        rows = {"attn_q": heads, "attn_k": kv_heads}
        inner = _halves(values, rows[short]) if short in rows else values
        state[f"model.layers.{layer}.{_TENSORS[short]}"] = inner
        if short == "ffn_down_exps":
            both = (tensors[f"blk.{layer}.ffn_gate_exps.weight"], tensors[f"blk.{layer}.ffn_up_exps.weight"])
            state[f"model.layers.{layer}.mlp.experts.gate_up_proj"] = np.concatenate(both, axis=1)
    return state


def _halves(values: np.ndarray, heads: int) -> np.ndarray:
    """Reorder a head's rows from llama.cpp's rotated pairs to transformers' halves.

    Args:
        values: shape (heads * head_dim, hidden).
    """
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)
