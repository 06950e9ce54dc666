"""Tests backends/engines/distilling/lora.py: what is learnt, from which tokens, and that it repeats itself."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")
pytest.importorskip("peft", reason="the extra [train] is not installed, see deploy/locks")

from backends.engines.base import ModelRefused  # noqa: E402  (after the check that it can be)
from backends.engines.distilling.base import Example, ExamplesError, Message  # noqa: E402
from backends.engines.distilling.lora import Recipe, rows_of, teach  # noqa: E402
from backends.engines.distilling.students import open_student  # noqa: E402

QUICK = Recipe(rank=4, epochs=3, device="cpu")


def example(question: str, answer: str) -> Example:
    return Example((Message("user", question),), answer, is_simple=False, group=question)


def silent(_line: str) -> None:
    pass


def factors(model: Any) -> list[Any]:
    return [parameter for name, parameter in model.named_parameters() if "lora_" in name]


def test_the_loss_is_on_the_answer_alone_and_on_its_end(student: Any) -> None:
    given, learnt = rows_of(student, example("How much?", "Five euro."))
    assert student.tokenizer.decode(given) == "<s>[INST] How much? [/INST]"
    assert student.tokenizer.decode(learnt) == " Five euro.</s>"


def test_a_template_that_writes_no_end_gets_one(student: Any) -> None:
    student.tokenizer.chat_template = student.tokenizer.chat_template.replace(" + '</s>'", "")
    assert rows_of(student, example("How much?", "Five."))[1][-1] == student.tokenizer.eos_token_id


def test_a_template_that_rewrites_the_question_is_refused(student: Any) -> None:
    student.tokenizer.chat_template = "{{ messages | length }}{{ messages[0]['content'] }}"
    with pytest.raises(ModelRefused, match="writes an answered question otherwise than an open one"):
        rows_of(student, example("How much?", "Five."))


def test_only_the_adapter_learns_and_a_seed_learns_the_same_again(
    student: Any, examples: Sequence[Example], mini: Any
) -> None:
    before = {name: values.clone() for name, values in student.model.state_dict().items()}
    said: list[str] = []
    model, run = teach(student, examples, QUICK, say=said.append)
    assert run.loss[1] < run.loss[0]
    assert (run.examples, run.too_long, len(said)) == (len(examples), 0, 3)
    assert run.parameters == sum(values.numel() for values in factors(model))
    for name, values in model.get_base_model().state_dict().items():
        plain = name.replace(".base_layer", "")
        assert plain not in before or torch.equal(values, before[plain])
    again, _ = teach(open_student(mini), examples, QUICK, say=silent)
    assert all(map(torch.equal, factors(model), factors(again)))
    other, _ = teach(open_student(mini), examples, dataclasses.replace(QUICK, seed=1), say=silent)
    assert not all(map(torch.equal, factors(model), factors(other)))


def test_what_the_context_does_not_hold_is_left_out_and_counted(student: Any, examples: Sequence[Example]) -> None:
    long = example("word " * 2_000, "Yes.")
    _, run = teach(student, [*examples[:5], long], dataclasses.replace(QUICK, epochs=1), say=silent)
    assert (run.examples, run.too_long) == (5, 1)
    with pytest.raises(ExamplesError, match="none of the 1 examples fits into the model's context of 1024 tokens"):
        teach(student, [long], QUICK, say=silent)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_learnt(
    student: Any, examples: Sequence[Example]
) -> None:
    with pytest.raises(ModelRefused, match="torch finds no GPU to train on"):
        teach(student, examples, dataclasses.replace(QUICK, device="cuda"), say=silent)
