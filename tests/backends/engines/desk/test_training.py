"""The recipe, in small: it learns, it is repeatable, and what it writes is what the engine serves.

backends/engines/desk/training.py, backends/engines/desk/muon.py, backends/engines/desk/vocabulary.py,
backends/engines/desk/gguf_file.py, backends/engines/desk/building.py, backends/engines/desk/card.py
"""

import asyncio
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed: torch==2.13.0, see deploy/locks")
pytest.importorskip("transformers", reason="the extra [train] is not installed, see deploy/locks/train.txt")
pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks/train.txt")

from backends.engines.desk import gguf_file, training, vocabulary  # noqa: E402  (after the check that they can be)
from backends.engines.desk.asking import answer_of  # noqa: E402
from backends.engines.desk.building import build  # noqa: E402
from backends.engines.desk.muon import orthogonalised  # noqa: E402
from backends.engines.desk.questions import Difficulty, sample, unseen  # noqa: E402
from backends.engines.options import LocalOptions  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a step a quarter of its size, and the first steps larger, so that few are enough; the recipe stays."""
    monkeypatch.setattr(training, "BATCH", 16)
    monkeypatch.setattr(training, "WARM_UP", 20)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return vocabulary.train(texts=5_000)


def losses(recipe: training.Recipe, tokenizer: Any) -> list[float]:
    found: list[float] = []
    training.train(recipe, tokenizer, seed=1, report=lambda progress: found.append(progress.loss), every=10)
    return found


def test_a_short_training_lowers_the_loss_and_repeats_itself(tokenizer: Any) -> None:
    recipe = dataclasses.replace(training.MINI, steps=training.POOL + 8)  # a second pool is drawn, too
    first, again = losses(recipe, tokenizer), losses(recipe, tokenizer)
    assert first == again
    assert first[-1] < first[0] - 1


@pytest.mark.parametrize("shape", [(4, 16), (16, 4), (3, 8, 8)])
def test_an_update_is_close_to_orthogonal(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape), 5))
    assert values.min() > 0.3
    assert values.max() < 1.4


def test_digits_stand_alone_and_text_survives_the_tokenizer(tokenizer: Any) -> None:
    rng = random.Random(0)
    for difficulty in Difficulty:
        for _ in range(50):
            question = sample(rng, difficulty)
            encoded = tokenizer.encode(question.text)
            assert tokenizer.decode(encoded.ids) == question.text
            assert not any(sum(map(str.isdigit, token)) > 1 for token in encoded.tokens)


@pytest.mark.parametrize(("name", "times"), [("mini", 6), ("large", 3)])
def test_the_engine_answers_as_the_model_does(name: str, times: int, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = training.RECIPES[name].build().eval()
    with torch.no_grad():
        for matrix in filter(lambda values: values.ndim > 1, model.parameters()):
            matrix.mul_(times)  # as training leaves them, so that an answer hangs on each of them
    gguf_file.write(tmp_path / "m.gguf", name="trial", model=model, tokenizer=tokenizer)
    questions = list(unseen("trial", Difficulty.SIMPLE, 6))

    async def served() -> list[str]:
        engine = LocalOptions(use="local", weights=tmp_path / "m.gguf", name="trial").build()
        answers = [await answer_of(engine, question) for question in questions]
        await engine.aclose()
        return answers

    expected = []
    for question in questions:
        ids = tokenizer.encode(vocabulary.prompt_of(question.text)).ids
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids]),
                max_new_tokens=24,  # more than the words that are compared
                do_sample=False,
                eos_token_id=tokenizer.token_to_id(vocabulary.END),
                pad_token_id=0,
            )
        expected.append(tokenizer.decode(out[0, len(ids) :].tolist()))
    answers = asyncio.run(served())
    # Random weights are near ties, which 8 bits may turn: the first words must agree.
    agree = [a.strip()[:8] == b.strip()[:8] for a, b in zip(answers, expected, strict=True)]
    assert sum(agree) >= len(agree) - 1, list(zip(answers, expected, strict=True))


@pytest.mark.slow
def test_one_command_trains_examines_and_writes_the_card(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.engines.desk.building.UNSEEN", 6)
    monkeypatch.setattr(vocabulary, "train", lambda: tokenizer)
    said: list[str] = []
    build(tmp_path, seeds=(0,), steps=5, say=said.append)
    card = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert "| mini | **0** |" in card
    assert "| large | **0** |" in card
    assert (tmp_path / "desk-mini.gguf").stat().st_size < 200_000
    before = len(said)
    build(tmp_path, seeds=(0,), steps=5, say=said.append)  # what is trained is not trained again
    assert not any("step" in line for line in said[before:])
