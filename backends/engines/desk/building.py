"""Recipes and seeds -> the two GGUF files that are shipped, and their model card.

Trains every model for every seed, asks each of them through the engine that will serve it, publishes the
first seed (not the best one) and writes down what all of them reached. What is trained already is not
trained again: a run that was stopped goes on where it was.
"""

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from backends.engines.desk import gguf_file, training, vocabulary
from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.asking import answer_of
from backends.engines.desk.card import Candidate, write_card
from backends.engines.desk.questions import LANGUAGES, Difficulty, unseen
from backends.engines.options import LocalOptions

UNSEEN = 500  # questions of each difficulty

Say = Callable[[str], None]


def build(out: Path, *, seeds: tuple[int, ...], steps: int | None, say: Say) -> None:
    """Train, examine and publish both models.

    Args:
        out: gets `desk-large.gguf`, `desk-mini.gguf`, `CARD.md` and, below `work/`, what is not published.
        seeds: the first one is published.
        steps: instead of the recipes' own numbers, for a trial.
        say: told in one line what is going on.
    """
    tokenizer = vocabulary.train()
    candidates = []
    for recipe in training.RECIPES.values():
        chosen = recipe if steps is None else dataclasses.replace(recipe, steps=steps)
        for seed in seeds:
            folder = out / "work" / f"{recipe.name}-{seed}"
            _train(folder, chosen, tokenizer, seed, say)
            say(f"{recipe.name} seed {seed}: asking {UNSEEN} unseen questions of each kind")
            candidates.append(_candidate(folder, recipe.name, seed))
        shutil.copyfile(out / "work" / f"{recipe.name}-{seeds[0]}" / "model.gguf", out / f"desk-{recipe.name}.gguf")
    write_card(out / "CARD.md", candidates, published=seeds[0])


def _train(folder: Path, recipe: training.Recipe, tokenizer: Tokenizer, seed: int, say: Say) -> None:
    finished = folder / "training.json"
    if finished.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    tokens = 0

    def report(progress: training.Progress) -> None:
        nonlocal tokens
        tokens = progress.tokens
        say(f"{recipe.name} seed {seed}: step {progress.step}/{progress.steps}, loss {progress.loss:.4f}")

    model = training.train(recipe, tokenizer, seed=seed, report=report)
    gguf_file.write(folder / "model.gguf", name=f"tandem-desk-{recipe.name}", model=model, tokenizer=tokenizer)
    facts = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": recipe.steps,
        "tokens": tokens,
    }
    finished.write_text(json.dumps(facts))


def _candidate(folder: Path, name: str, seed: int) -> Candidate:
    weights = folder / "model.gguf"
    facts = json.loads((folder / "training.json").read_text())
    return Candidate(
        name=name, seed=seed, bytes=weights.stat().st_size, accuracy=asyncio.run(_examine(weights)), **facts
    )


async def _examine(weights: Path) -> dict[tuple[Difficulty, str], Accuracy]:
    """Return the accuracy by difficulty and language, asked through the engine itself."""
    engine = LocalOptions(use="local", weights=weights, name="candidate").build()
    try:
        right = {(difficulty, language): [0, 0] for difficulty in Difficulty for language in LANGUAGES}
        for difficulty in Difficulty:
            for question in unseen("card", difficulty, UNSEEN):
                counts = right[difficulty, question.language]
                counts[0] += question.is_answered_by(await answer_of(engine, question))
                counts[1] += 1
        return {key: Accuracy(*counts) for key, counts in right.items()}
    finally:
        await engine.aclose()
