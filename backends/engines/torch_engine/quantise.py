"""Loaded model -> the same in 8 or 4 bits, measured, or refused.

A converter that leaves most of a model as it was says nothing about it, so size and perplexity are measured before and
after each conversion; what did not shrink, or got worse than is allowed, is not served.
"""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from backends.engines.base import ModelRefused, Refused
from backends.engines.engine_options import EngineOptions
from backends.engines.judging import Measured, Passage
from backends.engines.torch_engine import packing
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.tokenising import Message, Tokenizer

_QUESTIONS: Final = (
    "What can you do for me?",
    "Write a short letter to a friend.",
    "你好，请问今天天气怎么样？",
    "What do an apple and two pears cost?",
)
_ANSWERS: Final = 4  # to each question
_LONGEST: Final = 48  # tokens of an answer
_BYTES_OF_16_BITS: Final = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a conversion must keep.

    Attributes:
        bits: of a packed weight.
        size: the largest share of what the weights take in 16 bits.
        perplexity: the largest factor on the perplexity.
    """

    bits: int
    size: float
    perplexity: float


BOUNDS: Final = {
    "int8": Bound(bits=8, size=0.55, perplexity=1.05),
    "int4": Bound(bits=4, size=0.35, perplexity=1.5),
}
"""What is served. These find a conversion that went wrong; what a good one costs is for the questions that the model is
there for to say, and whoever has those passes bounds and passages of their own to `convert`."""


def quantised(loaded: Loaded, options: EngineOptions) -> Loaded:
    """Return the model with its weights packed as the options say; the weights that came in are given up.

    It is judged on answers that it drew itself before.

    Raises:
        ModelRefused: the weights did not shrink enough, or the model became worse than the bound allows.
    """
    kind = options.quantise
    before, after = convert(loaded.model, own_words(loaded), bound=BOUNDS[kind], name=f"{options.name} in {kind}")
    _log.info("%s in %s: %s before, %s after", options.name, kind, before, after)
    digest = hashlib.blake2b(kind.encode(), key=loaded.digest[:64], digest_size=32).digest()
    return replace(loaded, digest=digest)


def convert(model: Any, passages: Sequence[Passage], *, bound: Bound, name: str) -> tuple[Measured, Measured]:  # noqa: ANN401 - a model of transformers, which has no types
    """Pack a model's weights in place and return what it was before, in 16 bits, and what it is now.

    Args:
        passages: what it is judged on.
        name: for the text of an error.

    Raises:
        ModelRefused: the weights did not shrink enough, or the model became worse than the bound allows.
    """
    before = replace(size_and_perplexity(model, passages), bytes=_bytes_in_16_bits(model))
    packing.pack(model, bits=bound.bits)
    if _bytes_of(model) > bound.size * before.bytes:
        packing.pack_embeddings(model)
    after = size_and_perplexity(model, passages)
    share, factor = after.bytes / before.bytes, after.perplexity / before.perplexity
    if share > bound.size:
        raise ModelRefused(
            f"{name} does not shrink enough: {before.bytes:,} bytes in 16 bits became {after.bytes:,}, "
            f"{share:.2f} of it, and {bound.size:.2f} is allowed; serve it as it is"
        )
    if not factor <= bound.perplexity:  # what is no number is refused too
        raise ModelRefused(
            f"{name} becomes worse: perplexity {before.perplexity:.3f} turned into {after.perplexity:.3f}, "
            f"by a factor of {factor:.3f}, and {bound.perplexity:.2f} is allowed; take more bits or none"
        )
    return before, after


def size_and_perplexity(model: Any, passages: Sequence[Passage]) -> Measured:  # noqa: ANN401 - likewise
    """Return how large a model is, and how well it foretells the passages; each is computed in one forward."""
    total, judged, right = 0.0, 0, 0
    device = model.device
    with torch.inference_mode():
        for passage in passages:
            ids = torch.tensor([list(passage.ids)], device=device)
            logits = model(input_ids=ids, use_cache=False).logits[0, passage.given - 1 : -1].float()
            expected = ids[0, passage.given :, None]
            total -= logits.log_softmax(-1).gather(-1, expected).sum().item()
            judged += len(expected)
            right += bool((logits.argmax(-1, keepdim=True) == expected).all())
    return Measured(_bytes_of(model), math.exp(total / judged), right, len(passages))


def own_words(loaded: Loaded) -> list[Passage]:
    """Return answers that the model draws, at temperature 1, to a few questions; the same ones each time."""
    rng = torch.Generator(loaded.device).manual_seed(0)
    return [answer for question in _QUESTIONS for answer in _drawn(loaded, _asked(loaded, question), rng)]


def _asked(loaded: Loaded, question: str) -> list[int]:
    tokenizer: Tokenizer = loaded.tokenizer
    try:
        return tokenizer.chat([Message(role="user", content=question)])
    except Refused:  # no chat model: it goes on from the question
        return tokenizer.prompt(question)


def _drawn(loaded: Loaded, prompt: list[int], rng: torch.Generator) -> list[Passage]:
    ids = new = torch.tensor([prompt] * _ANSWERS, device=loaded.device)
    kv = None
    with torch.inference_mode():
        for _ in range(_LONGEST):
            out = loaded.model(input_ids=new, past_key_values=kv, use_cache=True)
            new = out.logits[:, -1].float().softmax(-1).multinomial(1, generator=rng)
            ids, kv = torch.cat((ids, new), 1), out.past_key_values
    answers = []
    for row in ids.tolist():
        end = next((place for place in range(len(prompt), len(row)) if row[place] in loaded.ends), len(row))
        answers.append(Passage(row[: end + 1], given=len(prompt)))
    return answers


def _bytes_of(model: Any) -> int:  # noqa: ANN401 - likewise
    return sum(tensor.nbytes for tensor in _distinct(model))


def _bytes_in_16_bits(model: Any) -> int:  # noqa: ANN401 - likewise
    return sum(tensor.numel() * _BYTES_OF_16_BITS for tensor in _distinct(model))


def _distinct(model: Any) -> list[torch.Tensor]:  # noqa: ANN401 - likewise
    """Return parameters and buffers, tied ones once."""
    tensors = (*model.parameters(), *model.buffers())
    return list({tensor.data_ptr(): tensor for tensor in tensors}.values())
