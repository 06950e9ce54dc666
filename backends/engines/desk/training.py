"""Recipe and seed -> a trained desk model, in transformers' own classes.

The two recipes differ in nothing but the architecture's size and the tokens seen. Knows nothing of
GGUF or of how the model is served. Needs the extra `[train]`.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM, PreTrainedModel

from backends.engines.desk import vocabulary
from backends.engines.desk.muon import Muon
from backends.engines.desk.questions import Difficulty, Question, is_held_out, sample

BATCH = 64
POOL = 32  # batches that are sorted by length together
IGNORED = -100  # transformers' label for "no loss here"
WARM_UP = 100
PRIOR_TURN_SHARE = 0.1
CONTEXT = 1024


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained and for how long.

    Attributes:
        build: makes the untrained model.
        steps: batches of 64 conversations.
        simple_share: share of simple questions among the training questions, 0.0 to 1.0.
    """

    name: str
    build: Callable[[], PreTrainedModel]
    steps: int
    simple_share: float
    muon_lr: float = 0.02
    adam_lr: float = 3e-3


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands; `loss` is the mean over the last report's steps, in nats a token."""

    step: int
    steps: int
    tokens: int
    loss: float


def _mini() -> PreTrainedModel:
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=vocabulary.SIZE,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            sliding_window=256,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
        )
    )


def _large() -> PreTrainedModel:
    config = MixtralConfig(
        vocab_size=vocabulary.SIZE,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        output_router_logits=True,
        router_aux_loss_coef=0.01,
    )
    config._experts_implementation = "eager"  # noqa: SLF001  (no public switch; "grouped_mm" is no faster here)
    return MixtralForCausalLM(config)


MINI = Recipe("mini", _mini, steps=6_000, simple_share=0.4)
LARGE = Recipe("large", _large, steps=7_000, simple_share=0.4)
RECIPES = {recipe.name: recipe for recipe in (MINI, LARGE)}


def train(
    recipe: Recipe,
    tokenizer: Tokenizer,
    *,
    seed: int,
    report: Callable[[Progress], None],
    every: int = 100,
) -> PreTrainedModel:
    """Return a model trained by the recipe; the same seed gives the same model on the same machine.

    Args:
        report: called each `every` steps.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # sums in one order: the same seed gives the same model
    model = recipe.build()
    muon, adam = _optimisers(model, recipe)
    tokens, losses = 0, list[float]()
    batches = _batches(random.Random(f"{recipe.name}/{seed}"), tokenizer, recipe.simple_share)
    for step in range(1, recipe.steps + 1):
        ids, labels = next(batches)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        share = _learning_rate_share(step, recipe.steps)
        for optimiser, rate in ((muon, recipe.muon_lr), (adam, recipe.adam_lr)):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
            optimiser.step()
            optimiser.zero_grad()
        tokens += int((ids != 0).sum())
        losses.append(loss.item())
        if step % every == 0 or step == recipe.steps:
            report(Progress(step, recipe.steps, tokens, sum(losses) / len(losses)))
            losses.clear()
    return model.eval()


def _optimisers(model: PreTrainedModel, recipe: Recipe) -> tuple[Muon, torch.optim.AdamW]:
    """Give the matrices to Muon; embeddings, the experts' router and the norms to AdamW."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_router = name.endswith("gate.weight")
        is_matrix = parameter.ndim >= 2 and "embed" not in name and not is_router  # noqa: PLR2004
        (matrices if is_matrix else rest).append(parameter)
    return (
        Muon(matrices, lr=recipe.muon_lr),
        torch.optim.AdamW(rest, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.01),
    )


def _learning_rate_share(step: int, steps: int) -> float:
    """Return the linear warm-up, then the cosine down to 1 %."""
    if step < WARM_UP:
        return step / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def _batches(
    rng: random.Random, tokenizer: Tokenizer, simple_share: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, labels), both shape (64, longest), forever; padding is 0, loss is on answers alone."""
    while True:
        rows = sorted(_rows(rng, tokenizer, simple_share, BATCH * POOL), key=lambda row: len(row[0]) + len(row[1]))
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        rng.shuffle(batches)
        for batch in batches:
            longest = max(len(asked) + len(answered) for asked, answered in batch)
            ids = torch.zeros((len(batch), longest), dtype=torch.long)
            labels = torch.full_like(ids, IGNORED)
            for index, (asked, answered) in enumerate(batch):
                end = len(asked) + len(answered)
                ids[index, :end] = torch.tensor(asked + answered)
                labels[index, len(asked) : end] = torch.tensor(answered)
            yield ids, labels


def _rows(
    rng: random.Random, tokenizer: Tokenizer, simple_share: float, count: int
) -> list[tuple[list[int], list[int]]]:
    """Return conversations as (ids that are given, ids that are learnt)."""
    given, learnt = [], []
    for _ in range(count):
        question = _allowed(rng, simple_share)
        before = ""
        if rng.random() < PRIOR_TURN_SHARE:
            earlier = _allowed(rng, simple_share)
            before = f"{vocabulary.ASK} {earlier.text} {vocabulary.ANSWER} {earlier.answer}{vocabulary.END}"
        given.append(f"{vocabulary.BEGIN}{before}{vocabulary.ASK} {question.text} {vocabulary.ANSWER}")
        learnt.append(f" {question.answer}{vocabulary.END}")
    return [
        (asked.ids, answered.ids)
        for asked, answered in zip(tokenizer.encode_batch(given), tokenizer.encode_batch(learnt), strict=True)
    ]


def _allowed(rng: random.Random, simple_share: float) -> Question:
    while True:
        question = sample(rng, Difficulty.SIMPLE if rng.random() < simple_share else Difficulty.COMPLEX)
        if not is_held_out(question.text):
            return question
