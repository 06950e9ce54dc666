"""A trained adapter -> one GGUF file that llama.cpp lays over the model.

llama.cpp adds (alpha / rank) * B A to a tensor of its own, so what it has reordered is reordered here as well. The file
names the model that it was made for, by a digest of its norms: two models of one shape take each other's adapters
without a word, and answer nonsense. Needs the extra `[train]`.

Source: llama.cpp, `convert_lora_to_gguf.py` and `llama-adapter.cpp`, for the names of metadata and tensors.
"""

import importlib
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

from backends.engines.desk.gguf_file import interleaved
from backends.engines.distilling.base import Student
from backends.engines.gguf_head import BASE_NORMS

_ARCHITECTURE: Final = "llama"
_TENSORS: Final = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_FRONT: Final = "base_model.model.model.layers."


def write_adapter(path: Path, *, student: Student, model: Any, name: str) -> None:  # noqa: ANN401 - peft has no types
    """Write the adapter of a model, as peft wraps it, replacing what was at `path`; in float32."""
    config = model.peft_config["default"]
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config.lora_alpha))
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, student.name)
    writer.add_string(BASE_NORMS, student.norms)
    shape = model.config
    heads = {"attn_q": shape.num_attention_heads, "attn_k": shape.num_key_value_heads}
    factors = importlib.import_module("peft").get_peft_model_state_dict(model, save_embedding_layers=False)
    for key, tensor in factors.items():
        layer, _, inner = key.removeprefix(_FRONT).partition(".")
        module, _, factor = inner.removesuffix(".weight").rpartition(".lora_")
        short, values = _TENSORS[module], tensor.detach().float().cpu().numpy()
        if factor == "B" and short in heads:
            values = interleaved(values, heads[short])
        writer.add_tensor(f"blk.{layer}.{short}.weight.lora_{factor.lower()}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
