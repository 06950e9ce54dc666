"""Student, examples and an examination -> a folder with the adapter, and whether it is to be deployed.

Needs the extra `[train]`.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backends.engines.desk import gguf_file
from backends.engines.distilling.adapter_file import write_adapter
from backends.engines.distilling.base import Exam, Example, Say, Student
from backends.engines.distilling.card import Outcome, write_card
from backends.engines.distilling.examining import examine, judge
from backends.engines.distilling.lora import Recipe, teach

ADAPTER: Final = "adapter.gguf"
"""What llama.cpp lays over the model."""

FOLDER: Final = "adapter"
"""The same as peft writes it, for the transformers engine and for vLLM."""

MERGED: Final = "merged.gguf"
"""Model and adapter in one, for engines that take no adapters; only where the student was a GGUF file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tuning is asked for.

    Attributes:
        name: what the adapter will be served as.
        origin: where the examples come from, in a few words, for the card.
        margin: share of simple questions that may be lost, 0.0 to 1.0.
    """

    name: str
    origin: str
    margin: float


def tune(
    student: Student, examples: Sequence[Example], exam: Exam, recipe: Recipe, *, wanted: Wanted, out: Path, say: Say
) -> Outcome:
    """Train an adapter, examine it through the engine, write all files into `out`, and return what the card says.

    Raises:
        ModelRefused: the student cannot be fine-tuned, or not on the wanted device.
        ExamplesError: none of the examples can be learnt.
        BackendError: the engine that examines does not answer.
        OSError: `out` cannot be written.
    """
    model, run = teach(student, examples, recipe, say=say)
    out.mkdir(parents=True, exist_ok=True)
    write_adapter(out / ADAPTER, student=student, model=model, name=wanted.name)
    _write_folder(out / FOLDER, model)
    served = out / (ADAPTER if student.engine == "llama_cpp" else FOLDER)
    parts = asyncio.run(examine(student, served, exam, threads=recipe.threads, say=say))
    verdict, why = judge(parts, margin=wanted.margin)
    outcome = Outcome(
        name=wanted.name,
        base=student.name,
        norms=student.norms,
        origin=wanted.origin,
        digest=_digest(examples),
        simple=sum(example.is_simple for example in examples),
        rank=recipe.rank,
        epochs=recipe.epochs,
        seed=recipe.seed,
        run=run,
        parts=parts,
        margin=wanted.margin,
        verdict=verdict,
        why=why,
        files=(ADAPTER, FOLDER, *([MERGED] if student.engine == "llama_cpp" else [])),
    )
    if MERGED in outcome.files:
        _write_merged(out / MERGED, student, model, name=wanted.name)
    write_card(out, outcome)
    return outcome


def _write_folder(folder: Path, model: Any) -> None:  # noqa: ANN401 - peft has no types here
    model.save_pretrained(folder, save_embedding_layers=False)  # else the hub is asked whether they have grown
    (folder / "README.md").unlink(missing_ok=True)  # a form that nobody has filled in


def _write_merged(path: Path, student: Student, model: Any, *, name: str) -> None:  # noqa: ANN401 - likewise
    merged, tokenizer = model.merge_and_unload(), student.tokenizer.backend_tokenizer
    gguf_file.write(path, name=f"{student.name}-{name}", model=merged.cpu(), tokenizer=tokenizer)


def _digest(examples: Sequence[Example]) -> str:
    """Return a digest of what was learnt, in its order; it says that two runs learnt the same, and nothing else."""
    told = [[[message.plain() for message in example.messages], example.answer] for example in examples]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
