"""Trained model and tokenizer -> one GGUF file that llama.cpp serves.

Matrices are stored in Q8_0, or in float16 for who is to convert them; norms and the experts' router in float32. Needs
the extra `[train]`.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from backends.engines.desk import vocabulary

_ARCHITECTURE = "llama"  # llama.cpp's name for Mistral and, with experts, for Mixtral
_PLAIN = {
    "input_layernorm.weight": "attn_norm",
    "post_attention_layernorm.weight": "ffn_norm",
    "self_attn.v_proj.weight": "attn_v",
    "self_attn.o_proj.weight": "attn_output",
    "mlp.gate_proj.weight": "ffn_gate",
    "mlp.up_proj.weight": "ffn_up",
    "mlp.down_proj.weight": "ffn_down",
    "mlp.gate.weight": "ffn_gate_inp",
    "mlp.experts.down_proj": "ffn_down_exps",
}


def write(path: Path, *, name: str, model: PreTrainedModel, tokenizer: Tokenizer, in_16_bits: bool = False) -> None:
    """Write the model to `path`, replacing what was there."""
    kind = gguf.GGMLQuantizationType.F16 if in_16_bits else gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    _describe(writer, name, model)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if in_16_bits else gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_vocabulary(writer, tokenizer)
    for tensor_name, values in _tensors(model):
        is_matrix = values.ndim >= 2 and "gate_inp" not in tensor_name  # noqa: PLR2004
        if is_matrix:
            writer.add_tensor(tensor_name, quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor_name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, name: str, model: PreTrainedModel) -> None:
    config = model.config
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if config.model_type == "mixtral":
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if config.sliding_window:
        writer.add_sliding_window(config.sliding_window)


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    table = json.loads(tokenizer.to_str())
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.PRE_TOKENIZER)
    writer.add_token_list([token for token, _ in by_id])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in vocabulary.SPECIAL else gguf.TokenType.NORMAL for token, _ in by_id]
    )
    writer.add_token_merges([" ".join(pair) for pair in table["model"]["merges"]])
    ids = tokenizer.get_vocab()
    writer.add_bos_token_id(ids[vocabulary.BEGIN])
    writer.add_eos_token_id(ids[vocabulary.END])
    writer.add_unk_token_id(ids[vocabulary.UNKNOWN])
    writer.add_pad_token_id(ids[vocabulary.UNKNOWN])
    writer.add_add_bos_token(value=False)  # the chat template writes it
    writer.add_chat_template(vocabulary.CHAT_TEMPLATE)


def _tensors(model: PreTrainedModel) -> list[tuple[str, np.ndarray]]:
    config = model.config
    found = []
    for name, parameter in model.state_dict().items():
        values = parameter.float().numpy()
        if name == "lm_head.weight":
            continue  # tied to the embedding, which llama.cpp reads for both
        if name == "model.embed_tokens.weight":
            found.append(("token_embd.weight", values))
        elif name == "model.norm.weight":
            found.append(("output_norm.weight", values))
        else:
            _, _, layer, inner = name.split(".", 3)
            found += [
                (f"blk.{layer}.{short}.weight", part)
                for short, part in _of_layer(inner, values, config.num_attention_heads, config.num_key_value_heads)
            ]
    return found


def _of_layer(inner: str, values: np.ndarray, heads: int, kv_heads: int) -> list[tuple[str, np.ndarray]]:
    match inner:
        case "self_attn.q_proj.weight":
            return [("attn_q", interleaved(values, heads))]
        case "self_attn.k_proj.weight":
            return [("attn_k", interleaved(values, kv_heads))]
        case "mlp.experts.gate_up_proj":
            gate, up = np.split(values, 2, axis=1)
            return [("ffn_gate_exps", gate), ("ffn_up_exps", up)]
        case _:
            return [(_PLAIN[inner], values)]


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Reorder a head's rows from transformers' halves to llama.cpp's rotated pairs.

    Args:
        values: shape (heads * head_dim, hidden).
    """
    rows, columns = values.shape
    halves = values.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)
