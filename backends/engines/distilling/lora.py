"""Student and examples -> the student with a LoRA adapter that has learnt the answers.

The adapter is laid over all linear layers of each block; embeddings and norms stay as they are, so that the adapter
can be served by engines that hold it beside the model. The loss is on the answers alone. Needs the extra `[train]`.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

import importlib
import math
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch

from backends.engines.base import ModelRefused
from backends.engines.distilling.base import Example, ExamplesError, Message, Say, Student, TrainingRun

TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_RATE_OF_WIDTH: Final = 0.64
"""Learning rate times hidden size: 0.02 for a width of 32, 1.6e-4 for 4,096. AdamW's best rate falls as the width grows
(Yang et al. 2022, "Tensor Programs V", table 3); the constant is what served the desk's Mini best of 0.01 and 0.02."""

_BATCH: Final = 2_048  # tokens of a batch, padding included
_POOL: Final = 2_048  # examples that are sorted by length together
_WARM_UP: Final = 50  # steps
_IGNORED: Final = -100  # transformers' label for "no loss here"

Device = Literal["auto", "cpu", "cuda"]

Row = tuple[list[int], list[int]]
"""Token ids that are given, and those that are learnt."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an adapter is trained.

    Attributes:
        epochs: how often each example is seen.
        learning_rate: at its highest; None takes one by the student's width.
        device: what computes; "auto" is a GPU where there is one.
        threads: of the CPU; with one, the same seed gives the same adapter on the same machine.
    """

    rank: int = 16
    epochs: int = 30
    learning_rate: float | None = None
    seed: int = 0
    device: Device = "auto"
    threads: int = 1


def teach(student: Student, examples: Sequence[Example], recipe: Recipe, *, say: Say) -> tuple[Any, TrainingRun]:
    """Return the model as peft wraps it, with its adapter trained, and what that took.

    Raises:
        ExamplesError: none of the examples fits into the student's context.
        ModelRefused: its chat template cannot tell an answer from its question, or there is no such device.
    """
    begun, device = time.monotonic(), _device(recipe.device)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    context = student.model.config.max_position_embeddings
    encoded = [rows_of(student, example) for example in examples]
    rows = [row for row in encoded if len(row[0]) + len(row[1]) <= context]
    if not rows:
        raise ExamplesError(f"none of the {len(encoded)} examples fits into the model's context of {context} tokens")
    model = _with_adapter(student, recipe).to(device).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate = recipe.learning_rate or _RATE_OF_WIDTH / student.model.config.hidden_size
    adam = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    epochs = [_batches(rows, random.Random(f"order/{recipe.seed}/{epoch}")) for epoch in range(recipe.epochs)]
    steps, step, tokens, losses = sum(map(len, epochs)), 0, 0, list[float]()
    for epoch, batches in enumerate(epochs, 1):
        total = 0.0
        for batch in batches:
            ids, mask, labels = (tensor.to(device) for tensor in _tensors(batch))
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in adam.param_groups:
                group["lr"] = rate * _share(step, steps)
            adam.step()
            adam.zero_grad()
            step, tokens, total = step + 1, tokens + int(mask.sum()), total + loss.item()
        losses.append(total / len(batches))
        say(f"epoch {epoch} of {recipe.epochs}: loss {losses[-1]:.4f}")
    run = TrainingRun(
        examples=len(rows),
        too_long=len(encoded) - len(rows),
        steps=steps,
        tokens=tokens,
        parameters=sum(parameter.numel() for parameter in parameters),
        loss=(losses[0], losses[-1]),
        seconds=time.monotonic() - begun,
    )
    return model.eval(), run


def rows_of(student: Student, example: Example) -> Row:
    """Return an example's token ids, as the student's own chat template writes it.

    Raises:
        ModelRefused: the template writes a question in another way once it is answered.
    """
    asked = _written(student, example.messages, is_open=True)
    whole = _written(student, (*example.messages, Message("assistant", example.answer)), is_open=False)
    if not whole.startswith(asked):
        raise ModelRefused(
            f"the chat template of {student.source} writes an answered question otherwise than an open one: "
            "mend the template"
        )
    given, learnt = _ids(student, asked), _ids(student, whole[len(asked) :])
    end = student.tokenizer.eos_token_id
    if end is not None and end not in learnt[-2:]:  # a template may write a line end after it
        learnt.append(end)
    return given, learnt


def _device(wanted: Device) -> str:
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise ModelRefused("torch finds no GPU to train on: train on the CPU, or install torch with CUDA")
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"


def _written(student: Student, messages: Sequence[Message], *, is_open: bool) -> str:
    told = [message.plain() for message in messages]
    text: str = student.tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=is_open)
    return text


def _ids(student: Student, text: str) -> list[int]:
    return list(student.tokenizer(text, add_special_tokens=False)["input_ids"])


def _with_adapter(student: Student, recipe: Recipe) -> Any:  # noqa: ANN401 - peft has no types here
    peft = importlib.import_module("peft")
    config = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.rank,
        lora_dropout=0.0,
        target_modules=list(TARGETS),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
        model = peft.get_peft_model(student.model, config)
    config.base_model_name_or_path = str(student.source)  # which peft has taken from the model
    return model


def _share(step: int, steps: int) -> float:
    """Return the share of the learning rate: a linear warm-up, then the cosine down to 1 %."""
    warm_up = min(_WARM_UP, steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _batches(rows: Sequence[Row], rng: random.Random) -> list[list[Row]]:
    """Return the rows in a new order, those of a batch about as long as each other."""
    order = rng.sample(rows, len(rows))
    pools = (order[start : start + _POOL] for start in range(0, len(order), _POOL))
    batches = [batch for pool in pools for batch in _cut(sorted(pool, key=_length))]
    rng.shuffle(batches)
    return batches


def _cut(pool: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield batches of rows that come in order of their length, the longest of a batch last."""
    batch: list[Row] = []
    for row in pool:
        if batch and (len(batch) + 1) * _length(row) > _BATCH:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _length(row: Row) -> int:
    return len(row[0]) + len(row[1])


def _tensors(batch: Sequence[Row]) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Return (ids, mask, labels), each of shape (rows, longest)."""
    shape = (len(batch), max(map(_length, batch)))
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, _IGNORED)
    for index, (given, learnt) in enumerate(batch):
        end = len(given) + len(learnt)
        ids[index, :end] = torch.tensor(given + learnt)
        mask[index, :end] = 1
        labels[index, len(given) : end] = torch.tensor(learnt)
    return ids, mask, labels
