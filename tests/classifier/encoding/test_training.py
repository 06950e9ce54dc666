"""Tests classifier/encoding/training.py, classifier/encoding/model.py, classifier/encoding/export.py.

And classifier/encoding/report.py and classifier/encoding/recipe.py, with tiny models that are trained here.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifier.base import Prompt, Turn
from classifier.encoder import TokenReader, load, texts_of
from classifier.encoding.recipe import BaseUnusable, DeviceAway, NotEqual, NotTrained, Recipe
from classifier.encoding.report import suggested_threshold
from classifier.pairs import Pair, PairsError

torch = pytest.importorskip("torch", reason="the extra [train] is not installed: torch==2.13.0, see deploy/locks")
for _name in ("transformers", "onnx", "safetensors"):
    pytest.importorskip(_name, reason="the extra [train] is not installed, see deploy/locks/train.txt")

from classifier.encoding import export, training  # noqa: E402 - they hold torch
from classifier.encoding.export import exported  # noqa: E402
from classifier.encoding.model import Encoder, Untrained, untrained  # noqa: E402
from classifier.encoding.training import Trained, split, train_encoder, write  # noqa: E402

TINY = Recipe(layers=1, width=32, heads=2, vocabulary=400, longest=48, epochs=6, rate=5e-3, device="cpu")


def asked(number: int, *, is_hard: bool) -> Pair:
    """Return a pair of the kind that is trained on; equal numbers give equal pairs."""
    chance = random.Random(number)
    names = " ".join(chance.sample(("lamp", "chair", "桌子", "table", "台灯"), 2))
    words = "prove and compare the totals of" if is_hard else "where can I find"
    return Pair(Prompt((Turn("user", f"{words} {names} {number}"),)), 1.0, 0.0 if is_hard else 1.0, f"q{number // 2}")


PAIRS = [asked(number, is_hard=number % 3 == 0) for number in range(240)]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def trained(said: list[str]) -> Trained:
    return train_encoder(PAIRS, TINY, name="tiny", version="1", seed=0, say=said.append)


@pytest.fixture(scope="module")
def small(trained: Trained) -> Untrained:
    torch.manual_seed(1)
    return untrained(TINY, [texts_of(pair.prompt)[0] for pair in PAIRS])


@pytest.fixture(scope="module")
def base(trained: Trained, small: Untrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BERT's folder as others publish it: configuration, tokenizer and safetensors."""
    path = tmp_path_factory.mktemp("base")
    small.model.body.save_pretrained(path)
    (path / "tokenizer.json").write_bytes(small.tokenizer)
    return path


# --- the whole way ---------------------------------------------------------------------------------


def test_what_was_trained_is_written_read_and_scores(trained: Trained, tmp_path: Path) -> None:
    write(trained, tmp_path)
    classifier = load(tmp_path, device="cpu")
    hard, easy = (classifier.score(asked(999, is_hard=is_hard).prompt) for is_hard in (True, False))
    assert easy.value < classifier.threshold < hard.value
    assert hard.source == f"encoder@{trained.folder.figures.version}"
    assert hard.source.startswith("encoder@1-")
    assert classifier.score(Prompt(())).value == pytest.approx(80 / 240)


def test_agreeing_to_something_hard_scores_as_hard(trained: Trained, tmp_path: Path) -> None:
    write(trained, tmp_path)
    classifier = load(tmp_path, device="cpu")
    scores = []
    for is_hard in (True, False):
        ((_, text),) = [(turn.role, turn.text) for turn in asked(999, is_hard=is_hard).prompt.turns]
        agreed = Prompt((Turn("assistant", text), Turn("user", "yes, do it")))
        scores.append(classifier.score(agreed).value)
    assert scores[0] > 0.5 > scores[1]


def test_the_report_is_of_groups_that_nothing_was_fitted_on(trained: Trained) -> None:
    report = trained.report
    assert (report.rows, report.groups, report.needing_large, report.held_out) == (240, 120, 80, 48)
    assert report.auroc > 0.95
    assert report.auroc_interval is not None
    assert report.auroc_interval[0] <= report.auroc <= report.auroc_interval[1]
    assert report.brier < 0.1
    assert report.ece < 0.2
    assert report.quality >= report.strong_mean - 0.1
    assert 0 < report.difference < 1e-3
    assert report.int8_difference is None
    assert 1 <= report.epochs <= TINY.epochs


def test_the_card_states_how_it_was_measured(trained: Trained, tmp_path: Path) -> None:
    write(trained, tmp_path)
    card = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    report = trained.report
    for words in (
        f"# tiny {trained.folder.figures.version}",
        f"{report.parameters:,} parameters",
        "opset 17",
        "Fitted on 240 pairs of 120 groups, 80 of them",
        f"| {report.auroc:.4f} (",
        f"| {report.brier:.4f} |",
        f"Suggested threshold: {report.threshold:.4f}",
        "32-bit floats",
    ):
        assert words in card


def test_progress_is_said(trained: Trained, said: list[str]) -> None:
    assert "rows to fit on, 48 to tune on; on cpu" in said[0]
    assert said[1].startswith("epoch 1 of 6: tuned rows' loss ")


def test_equal_seeds_give_equal_files(trained: Trained) -> None:
    again = train_encoder(PAIRS, TINY, name="tiny", version="1", seed=0, say=lambda _: None)
    assert again.folder == trained.folder


def test_eight_bits_are_smaller_and_their_change_is_measured(trained: Trained, tmp_path: Path) -> None:
    recipe = replace(TINY, int8=True, epochs=2)
    found = train_encoder(PAIRS, recipe, name="tiny", version="1", seed=0, say=lambda _: None)
    assert len(found.folder.model) < 0.7 * len(trained.folder.model)
    assert found.report.int8_difference is not None
    assert 0 < found.report.int8_difference < 0.5
    assert found.report.int8_auroc_change == pytest.approx(0.0, abs=0.05)
    write(found, tmp_path)
    assert "8-bit integers, which changed a logit by" in (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert 0 < load(tmp_path, device="cpu").score(PAIRS[0].prompt).value < 1


def test_a_local_base_is_fine_tuned(base: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, base=base, longest=4096, epochs=3)
    found = train_encoder(PAIRS, recipe, name="tuned", version="1", seed=0, say=lambda _: None)
    assert found.report.auroc > 0.9
    assert found.folder.figures.longest == TINY.longest - 2  # of its positions
    assert found.folder.tokenizer == (base / "tokenizer.json").read_bytes()
    write(found, tmp_path)
    assert load(tmp_path, device="cpu").score(PAIRS[0].prompt).value > 0.5


# --- what is refused -------------------------------------------------------------------------------


def test_a_base_that_is_not_whole_is_named(base: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        with pytest.raises(BaseUnusable, match=f"{name} is missing"):
            untrained(replace(TINY, base=_but(base, tmp_path / name, name, None)), [])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_base_that_is_damaged_is_named(base: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BaseUnusable, match="cannot be read as an encoder: "):
        untrained(replace(TINY, base=_but(base, tmp_path / "base", name, b"\x80\x04K\x01.")), [])


def test_a_base_without_special_tokens_is_refused(base: Path, tmp_path: Path, small: Untrained) -> None:
    without = small.tokenizer.replace(b"[CLS]", b"[ONE]").replace(b"[SEP]", b"[TWO]")
    with pytest.raises(BaseUnusable, match=r"is no encoder with \[CLS\] and \[SEP\]"):
        untrained(replace(TINY, base=_but(base, tmp_path / "base", "tokenizer.json", without)), [])


def test_data_of_one_class_are_refused() -> None:
    with pytest.raises(PairsError, match="one class only"):
        train_encoder([replace(pair, weak_score=1.0) for pair in PAIRS], TINY, name="", version="", seed=0, say=print)


def test_a_device_that_torch_does_not_find_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    for device in ("cuda", "tensorrt"):
        recipe = replace(TINY, device=device)
        with pytest.raises(DeviceAway, match=f"device {device}: torch .* finds no CUDA device"):
            train_encoder(PAIRS, recipe, name="", version="", seed=0, say=print)
    assert issubclass(DeviceAway, NotTrained)


def test_a_graph_that_differs_from_the_model_is_refused(small: Untrained, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = export._traced

    def off(model: Encoder) -> bytes:
        graph = traced(model)
        with torch.no_grad():
            model.head.bias += 0.01
        return graph

    monkeypatch.setattr(export, "_traced", off)
    with pytest.raises(NotEqual, match=r"differ from the trained model's by 0\.01, over 0\.001"):
        exported(small, [[1, 5, 2]], int8=False)


# --- parts -----------------------------------------------------------------------------------------


def test_no_group_is_in_two_parts_and_each_part_has_both_classes() -> None:
    for seed in range(5):
        parts = split(PAIRS, seed)
        groups = [{pair.group for pair in part} for part in (parts.fitted, parts.tuned, parts.measured)]
        assert sum(map(len, groups)) == len(set().union(*groups)) == 120
        assert [len(part) for part in groups] == [72, 24, 24]
        for part in (parts.fitted, parts.tuned, parts.measured):
            assert {pair.needs_large for pair in part} == {True, False}
    assert split(PAIRS, 0) != split(PAIRS, 1)


def test_the_fewest_groups_are_enough_for_every_part() -> None:
    pairs = [replace(asked(number, is_hard=number < 5), group=f"{min(number, 9)}") for number in range(50)]
    for seed in range(10):
        parts = split(pairs, seed)
        for part in (parts.fitted, parts.tuned, parts.measured):
            assert {pair.needs_large for pair in part} == {True, False}


def test_the_graph_takes_any_number_of_rows_of_any_length(small: Untrained) -> None:
    found = exported(small, [[1, 5, 2]], int8=False)
    chance = random.Random(3)
    rows = [[1, *(chance.randrange(3, 300) for _ in range(size)), 2] for size in (0, 1, 7, 46, 30)]
    alone = [found.session.logits([row])[0] for row in rows]
    assert np.allclose(found.session.logits(rows), alone, atol=1e-5)


def test_batches_hold_each_row_once_and_rows_of_similar_length() -> None:
    chance = random.Random(0)
    rows = [[0] * chance.randrange(1, 200) for _ in range(1000)]
    batches = list(training._batches(rows, chance))
    assert sorted(at for batch in batches for at in batch) == list(range(1000))
    spans = [max(len(rows[at]) for at in batch) - min(len(rows[at]) for at in batch) for batch in batches]
    assert np.median(spans) < 40


def test_training_stops_when_nothing_is_gained(trained: Trained) -> None:
    lines: list[str] = []
    pairs = [replace(pair, weak_score=float(random.Random(at).random() < 0.5)) for at, pair in enumerate(PAIRS)]
    found = train_encoder(pairs, replace(TINY, epochs=30), name="", version="", seed=0, say=lines.append)
    assert len(lines) - 1 == found.report.epochs + training.PATIENCE < 30


def test_a_single_step_is_training_enough() -> None:
    pairs = [asked(number, is_hard=number % 2 == 0) for number in range(50)]
    found = train_encoder(pairs, replace(TINY, epochs=1), name="", version="", seed=0, say=lambda _: None)
    assert found.report.epochs == 1


def test_a_threshold_sends_as_many_to_mini_as_keep_the_quality() -> None:
    pairs = [replace(pair, strong_score=1.0, weak_score=weak) for pair, weak in zip(PAIRS, (1, 1, 0, 0), strict=False)]
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    assert suggested_threshold(scores, pairs, margin=0.0) == pytest.approx(0.5)
    assert suggested_threshold(scores, pairs, margin=0.25) == pytest.approx(0.85)
    assert suggested_threshold(scores, pairs, margin=0.5) == pytest.approx(0.95)
    assert suggested_threshold(scores[::-1], pairs, margin=0.0) == 0.1
    assert suggested_threshold(np.full(4, 0.3), pairs, margin=0.0) == 0.3


def test_a_byte_level_vocabulary_reads_every_text_the_same_way(small: Untrained) -> None:
    reader = TokenReader(small.tokenizer, longest=48, start=1, separator=2)
    assert reader.ids(("Prove The TABLE", "")) == reader.ids(("prove the table", ""))
    assert len(reader.ids(("\N{GRINNING FACE}\x01é", ""))) > 3


def _but(base: Path, path: Path, name: str, content: bytes | None) -> Path:
    """Return a copy of the base with one file changed, or without it."""
    path.mkdir()
    for file in base.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    if content is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(content)
    return path
