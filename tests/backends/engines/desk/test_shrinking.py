"""The shipped weights come back as they were written, and what fewer bits cost is measured on what they are for.

backends/engines/desk/shrinking.py, backends/engines/desk/gguf_reading.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed: torch==2.13.0, see deploy/locks")
pytest.importorskip("transformers", reason="the extra [train] is not installed, see deploy/locks/train.txt")
pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks/train.txt")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402 - after the check that it can be

from backends.engines.base import ModelRefused  # noqa: E402
from backends.engines.desk import gguf_file, training, vocabulary  # noqa: E402
from backends.engines.desk.gguf_reading import read_model, read_tokenizer, write_folder  # noqa: E402
from backends.engines.desk.questions import Difficulty, is_held_out  # noqa: E402
from backends.engines.desk.shrinking import (  # noqa: E402
    in_other_numbers,
    passages_of,
    questions,
    through_llama_cpp,
    through_torch,
)
from backends.engines.requantise import requantise  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MODELS = Path(__file__).parents[4] / "backends" / "engines" / "models"
IDS = torch.arange(5, 105)[None]


def logits_of(model: Any) -> Any:
    with torch.inference_mode():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("name", ["mini", "large"])
def test_a_model_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = training.RECIPES[name].build().eval()
    tokenizer = vocabulary.train(texts=5_000)
    gguf_file.write(tmp_path / "m.gguf", name="trial", model=model, tokenizer=tokenizer, in_16_bits=True)
    again = read_model(tmp_path / "m.gguf")
    assert again.config.sliding_window == model.config.sliding_window
    torch.testing.assert_close(logits_of(again), logits_of(model), rtol=0.01, atol=0.002)
    text = "Hello! 你好 order 123."
    assert read_tokenizer(tmp_path / "m.gguf").encode(text) == tokenizer.encode(text).ids


def test_a_folder_of_a_shipped_model_answers_a_question(tmp_path: Path) -> None:
    write_folder(MODELS / "desk-large.gguf", tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path)
    question = next(question for question in questions(9) if question.difficulty is Difficulty.SIMPLE)
    messages = [{"role": "user", "content": question.text}]
    ids = tokenizer.apply_chat_template(messages, return_dict=False, return_tensors="pt")
    with torch.inference_mode():
        said = model.generate(ids, max_new_tokens=64, do_sample=False)
    assert question.is_answered_by(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True))


def test_a_file_that_is_none_of_the_desk_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(ModelRefused, match=r"cannot read .*m\.gguf as GGUF"):
        read_model(tmp_path / "m.gguf")


@pytest.mark.parametrize("name", ["desk-mini", "desk-large"])
def test_other_numbers_are_other_numbers_and_compute_the_same(name: str, tmp_path: Path) -> None:
    shipped, rewritten = read_model(MODELS / f"{name}.gguf"), in_other_numbers(read_model(MODELS / f"{name}.gguf"))
    torch.testing.assert_close(logits_of(rewritten), logits_of(shipped), rtol=1e-4, atol=1e-4)
    # Rounded to 8 bits once more, the shipped weights stay where they are; these move.
    tokenizer = read_tokenizer(MODELS / f"{name}.gguf").backend_tokenizer
    gguf_file.write(tmp_path / "f16.gguf", name="trial", model=rewritten, tokenizer=tokenizer, in_16_bits=True)
    requantise(tmp_path / "f16.gguf", tmp_path / "q8.gguf", kind="q8_0")
    rounded = dict(read_model(tmp_path / "q8.gguf").named_parameters())
    for place, weight in rewritten.named_parameters():
        if weight.ndim > 1 and "embed" not in place and not place.endswith("gate.weight"):
            error = (rounded[place] - weight).abs().mean() / weight.abs().mean()
            assert 0.001 < error < 0.02, place


def test_both_engines_keep_their_bounds_on_the_desk_s_questions(tmp_path: Path) -> None:
    asked = questions(24)
    found = {
        **through_torch(MODELS / "desk-large.gguf", asked),
        **through_llama_cpp(MODELS / "desk-large.gguf", tmp_path, asked, kinds=("q8_0", "q4_k")),
    }
    for kind, conversion in found.items():
        eight = kind in ("int8", "q8_0")
        assert conversion.size <= (0.55 if eight else 0.35), kind
        assert conversion.perplexity <= (1.01 if eight else 1.05), kind
        assert conversion.right_lost <= (0.0 if eight else 0.1), kind
        assert conversion.before.right >= 20, kind
    worse = dataclasses.replace(found["int8"], after=dataclasses.replace(found["int8"].after, right=0, perplexity=9.9))
    assert worse.right_lost > 0.8
    assert worse.perplexity > 9


def test_questions_are_unseen_and_half_of_them_simple_and_only_answers_are_judged() -> None:
    asked = questions(31)
    assert len({question.text for question in asked}) == 31
    assert all(is_held_out(question.text) for question in asked)
    assert sum(question.difficulty is Difficulty.SIMPLE for question in asked) == 16
    tokenizer = read_tokenizer(MODELS / "desk-large.gguf")
    for question, passage in zip(asked, passages_of(tokenizer, asked), strict=True):
        assert tokenizer.decode(passage.ids[passage.given :]) == f" {question.answer}</s>"
