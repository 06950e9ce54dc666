"""Models of a few thousand random weights, as `save_pretrained` writes them, with a tokenizer of bytes."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'system' %}{{ m['content'] }}\n"
    "{% else %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)

_TEXTS = ["the answer is yes and the question was no", "a b c d e f g 1 2 3 4 5", "你好，世界", "naïve café 🙂"]


def write_tokenizer(folder: Path, *, size: int = 320, template: str | None = TEMPLATE) -> None:
    """Write a byte-level BPE into a folder."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        _TEXTS * 40,
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    whole = PreTrainedTokenizerFast(
        tokenizer_object=bpe, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=template
    )
    whole.save_pretrained(folder)


def write_model(folder: Path, *, kind: str, seed: int = 7, **changes: Any) -> Path:
    """Write a model: "mistral", "windowed" (a window of 24 tokens) or "mixtral" (8 experts, 2 a token)."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "sliding_window": 24 if kind == "windowed" else None,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        **changes,
    }
    if kind == "mixtral":
        model = MixtralForCausalLM(MixtralConfig(num_local_experts=8, num_experts_per_tok=2, **shape))
    else:
        model = MistralForCausalLM(MistralConfig(**shape))
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder
