"""Shipped weights -> what 8 and 4 bits cost, in size, perplexity and right answers.

The weights are shipped in 8 bits, and those of 16 bits that they were made of are kept nowhere. Rounded once more to 8
bits they would not change at all, which proves nothing. So the model is written in other numbers first: what one matrix
is multiplied with, the next is divided by, which leaves every answer as it was and no weight, but for the embedding's,
on the grid that it was rounded to. That is what is compared with, in 16 bits. Needs the extra `[train]`.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from backends.engines.desk import gguf_file, vocabulary
from backends.engines.desk.gguf_reading import read_model, read_tokenizer
from backends.engines.desk.questions import Difficulty, Question, unseen
from backends.engines.gguf_judging import judge_gguf
from backends.engines.judging import Measured, Passage
from backends.engines.requantise import requantise
from backends.engines.torch_engine.quantise import BOUNDS, convert

GGUF_KINDS: Final = ("q8_0", "q6_k", "q4_k", "q4_0")
TORCH_KINDS: Final = ("int8", "int4")
_FACTORS: Final = (0.8, 1.25)  # between which rows are multiplied


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model in 16 bits, and in fewer; judged on the same passages."""

    before: Measured
    after: Measured

    @property
    def size(self) -> float:
        """Return the share of the bytes that is left."""
        return self.after.bytes / self.before.bytes

    @property
    def perplexity(self) -> float:
        """Return the factor that the perplexity has changed by."""
        return self.after.perplexity / self.before.perplexity

    @property
    def right_lost(self) -> float:
        """Return the share of all questions that were answered rightly before and are no more, gains taken off."""
        return (self.before.right - self.after.right) / self.before.passages


def questions(count: int) -> list[Question]:
    """Return unseen questions, half of them simple."""
    halves = zip(*(unseen("shrinking", difficulty, (count + 1) // 2) for difficulty in Difficulty), strict=True)
    return list(itertools.islice(itertools.chain.from_iterable(halves), count))


def passages_of(tokenizer: PreTrainedTokenizerFast, asked: Iterable[Question]) -> list[Passage]:
    """Return questions with their true answers, which alone are judged, as token ids."""
    passages = []
    for question in asked:
        given = tokenizer.encode(vocabulary.prompt_of(question.text))
        answer = tokenizer.encode(f" {question.answer}{vocabulary.END}")
        passages.append(Passage([*given, *answer], given=len(given)))
    return passages


def through_llama_cpp(
    weights: Path, folder: Path, asked: Sequence[Question], *, kinds: Sequence[str] = GGUF_KINDS
) -> Mapping[str, Conversion]:
    """Return by kind what llama.cpp makes of it.

    Args:
        folder: gets the files, in 16 bits and in each kind.

    Raises:
        ModelRefused: the model did not shrink.
    """
    tokenizer = read_tokenizer(weights)
    passages = passages_of(tokenizer, asked)
    whole = folder / "f16.gguf"
    model = in_other_numbers(read_model(weights))
    gguf_file.write(whole, name="desk", model=model, tokenizer=tokenizer.backend_tokenizer, in_16_bits=True)
    before, found = judge_gguf(whole, passages), {}
    for kind in kinds:
        file = folder / f"{kind}.gguf"
        requantise(whole, file, kind=kind)
        found[kind] = Conversion(before, judge_gguf(file, passages))
    return found


def through_torch(
    weights: Path, asked: Sequence[Question], *, kinds: Sequence[str] = TORCH_KINDS
) -> Mapping[str, Conversion]:
    """Return by kind what torch makes of it, in bfloat16.

    Raises:
        ModelRefused: the model did not shrink, or became far worse.
    """
    passages, found = passages_of(read_tokenizer(weights), asked), {}
    for kind in kinds:
        model = in_other_numbers(read_model(weights)).to(torch.bfloat16)
        found[kind] = Conversion(*convert(model, passages, bound=BOUNDS[kind], name=f"{weights.stem} in {kind}"))
    return found


def in_other_numbers(model: PreTrainedModel) -> PreTrainedModel:
    """Change a model's weights in place so that it computes what it did, and return it.

    Norms go into the matrices behind them; values and experts' inner rows are multiplied by numbers between 0.8 and
    1.25, and the columns that read them divided by the same.
    """
    rng = torch.Generator().manual_seed(0)
    config = model.config
    heads = config.num_attention_heads
    with torch.no_grad():
        for layer in model.model.layers:
            attention = layer.self_attn
            _fold(
                layer.input_layernorm, (each.weight for each in (attention.q_proj, attention.k_proj, attention.v_proj))
            )
            factors = _factors(attention.v_proj.weight.shape[0], rng)
            attention.v_proj.weight.mul_(factors[:, None])
            shared = factors.view(config.num_key_value_heads, -1).repeat_interleave(
                heads // config.num_key_value_heads, 0
            )
            attention.o_proj.weight.div_(shared.flatten())
            _rewrite_feed_forward(layer, rng)
    return model


def _rewrite_feed_forward(layer: Any, rng: torch.Generator) -> None:  # noqa: ANN401 - transformers has no types
    block = layer.mlp
    if hasattr(block, "experts"):
        both, down = block.experts.gate_up_proj, block.experts.down_proj
        _fold(layer.post_attention_layernorm, (block.gate.weight, both))
        up = both[:, both.shape[1] // 2 :]  # a view
    else:
        _fold(layer.post_attention_layernorm, (block.gate_proj.weight, block.up_proj.weight))
        up, down = block.up_proj.weight, block.down_proj.weight
    factors = _factors(down.shape[-1], rng)
    up.mul_(factors[:, None])
    down.div_(factors)


def _fold(norm: Any, readers: Iterable[torch.Tensor]) -> None:  # noqa: ANN401 - likewise
    for reader in readers:
        reader.mul_(norm.weight)
    norm.weight.fill_(1.0)


def _factors(count: int, rng: torch.Generator) -> torch.Tensor:
    low, high = _FACTORS
    return low + (high - low) * torch.rand(count, generator=rng)
