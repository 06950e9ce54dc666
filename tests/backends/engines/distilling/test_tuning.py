"""The loop in small: examples, an adapter, the engine that serves it, an examination, a card.

backends/engines/distilling/tuning.py, backends/engines/distilling/adapter_file.py, backends/engines/distilling/card.py,
backends/engines/distilling/desk_lessons.py
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")
pytest.importorskip("peft", reason="the extra [train] is not installed, see deploy/locks")
pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks")

from backends.engines.base import ModelRefused  # noqa: E402  (after the check that it can be)
from backends.engines.desk import gguf_reading  # noqa: E402
from backends.engines.desk.gguf_file import write  # noqa: E402
from backends.engines.desk.questions import Question  # noqa: E402
from backends.engines.distilling.base import Case, Exam, Example, Part, Verdict  # noqa: E402
from backends.engines.distilling.desk_lessons import lessons  # noqa: E402
from backends.engines.distilling.examining import answers_of  # noqa: E402
from backends.engines.distilling.lora import Recipe  # noqa: E402
from backends.engines.distilling.students import open_student  # noqa: E402
from backends.engines.distilling.tuning import Wanted, tune  # noqa: E402
from backends.engines.gguf_head import read_head  # noqa: E402
from backends.engines.llama_server.gguf_checks import check_adapter  # noqa: E402
from backends.engines.options import LocalOptions  # noqa: E402

WANTED = Wanted("norrvik", "a test", margin=0.01)
RECIPE = Recipe(rank=16, epochs=26, device="cpu")


def silent(_line: str) -> None:
    pass


def exam_on(examples: Sequence[Example], questions: Sequence[Question]) -> Exam:
    pairs = zip(examples, questions, strict=True)
    return Exam([Case(Part.COMPLEX, one.messages, one.answer, asked.is_answered_by) for one, asked in pairs], {})


def served(weights: Path, model: str, examples: Sequence[Example], **adapters: Path) -> list[str]:
    async def ask() -> list[str]:
        engine = LocalOptions(use="local", name="mini", weights=weights, adapters=adapters, slots=8).build()
        try:
            return await answers_of(engine, model, [(example.messages, 64) for example in examples])
        finally:
            await engine.aclose()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: Any, mini: Path, examples: Sequence[Example], questions: Sequence[Question]) -> Any:
    out = tmp_path_factory.mktemp("tuned")
    exam = exam_on(examples, questions)
    return out, tune(open_student(mini), examples, exam, RECIPE, wanted=WANTED, out=out, say=silent)


def test_mini_learns_what_it_did_not_know(tuned: Any) -> None:
    _, outcome = tuned
    learnt = outcome.parts[Part.COMPLEX]
    assert learnt.before.share < 0.5
    assert learnt.after.share > 0.9
    assert learnt.low > 0.3
    assert outcome.verdict is Verdict.UNPROVEN
    assert "no simple question was asked" in outcome.why


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks by a name that will go
def test_the_adapter_beside_the_model_the_merged_model_and_torch_answer_alike(
    tuned: Any, mini: Path, examples: Sequence[Example], questions: Sequence[Question]
) -> None:
    out, outcome = tuned
    some, wanted = examples[:24], questions[:24]
    beside = served(mini, "mini:own", some, own=out / "adapter.gguf")
    merged = served(out / "merged.gguf", "mini", some)
    peft = pytest.importorskip("peft")
    student = open_student(mini)
    model = peft.PeftModel.from_pretrained(student.model, out / "adapter").eval()
    torch_answers = []
    for example in some:
        told = [message.plain() for message in example.messages]
        text = student.tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([student.tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            whole = model.generate(input_ids=ids, max_new_tokens=64, do_sample=False, pad_token_id=0)
        torch_answers.append(student.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True))
    for answers in (beside, merged, torch_answers):
        assert sum(question.is_answered_by(text) for question, text in zip(wanted, answers, strict=True)) >= 21
    same = [a.strip() == b.strip() for a, b in zip(beside, torch_answers, strict=True)]
    assert sum(same) >= 23  # 8 bits of the cache may turn a near tie
    without = served(mini, "mini", some, own=out / "adapter.gguf")
    assert sum(question.is_answered_by(text) for question, text in zip(wanted, without, strict=True)) < 12
    assert outcome.files == ("adapter.gguf", "adapter", "merged.gguf")


def test_the_card_says_what_was_learnt_and_what_it_came_to_and_holds_no_text(
    tuned: Any, examples: Sequence[Example]
) -> None:
    out, outcome = tuned
    told = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert told == outcome.as_json()
    assert told["data"]["examples"] == len(examples)
    assert told["parts"]["complex"]["after"]["asked"] == len(examples)
    low, high = told["parts"]["complex"]["after"]["interval"]
    assert low < told["parts"]["complex"]["after"]["share"] <= high + 1e-9
    text = (out / "CARD.md").read_text(encoding="utf-8")
    assert "**Do not deploy it yet: no simple question was asked" in text
    assert "seed 0" in text
    assert "$" not in text
    assert not any(example.answer in text or example.messages[0].text in text for example in examples)


def test_an_adapter_is_refused_by_another_model_of_the_same_shape(tuned: Any, mini: Path, tmp_path: Path) -> None:
    adapter = read_head(tuned[0] / "adapter.gguf")
    check_adapter("own", adapter, base=read_head(mini))
    student = open_student(mini)
    with torch.no_grad():
        student.model.model.layers[0].input_layernorm.weight *= 1.01
    write(tmp_path / "other.gguf", name="other", model=student.model, tokenizer=student.tokenizer.backend_tokenizer)
    with pytest.raises(ModelRefused, match="was made for another model: its shape is the same, but its norms are not"):
        check_adapter("own", adapter, base=read_head(tmp_path / "other.gguf"))
    with pytest.raises(ModelRefused, match="was made for another model"):
        check_adapter("own", adapter, base=read_head(mini.with_name("desk-large.gguf")))


@pytest.mark.slow
def test_a_folder_is_tuned_and_served_by_the_torch_engine(
    mini: Path, examples: Sequence[Example], questions: Sequence[Question], tmp_path: Path
) -> None:
    gguf_reading.write_folder(mini, tmp_path / "mini")
    student = open_student(tmp_path / "mini")
    exam = exam_on(examples[:8], questions[:8])
    short = replace(RECIPE, epochs=12)
    outcome = tune(student, examples, exam, short, wanted=WANTED, out=tmp_path / "out", say=silent)
    assert outcome.parts[Part.COMPLEX].after.share > outcome.parts[Part.COMPLEX].before.share
    assert outcome.files == ("adapter.gguf", "adapter")
    assert not (tmp_path / "out" / "merged.gguf").exists()


def test_a_customer_of_the_desk_is_taught_by_large_and_examined_by_the_facts() -> None:
    said: list[str] = []
    examples, exam = asyncio.run(lessons(customer=1, count=80, asked=40, say=said.append))
    assert sum(example.is_simple for example in examples) == 60
    assert {case.part for case in exam.cases} == set(Part)
    assert len(exam.cases) == 120
    assert exam.teacher[Part.SIMPLE].share >= 0.95
    assert exam.teacher[Part.COMPLEX].share >= 0.7
    learnt = {example.messages[0].text for example in examples}
    assert not any(case.messages[0].text in learnt for case in exam.cases)
    assert all(case.is_right(case.answer) for case in exam.cases)
    assert said[0] == "Large answered 80 of 80 questions"
