"""A GGUF file in other kinds is smaller, llama.cpp still reads it right, and what did not shrink is not left behind.

backends/engines/requantise.py, backends/engines/gguf_judging.py
"""

from pathlib import Path

import pytest

gguf = pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks/train.txt")
pytest.importorskip("torch", reason="the extra [train] is not installed: torch==2.13.0, see deploy/locks")
pytest.importorskip("transformers", reason="the extra [train] is not installed, see deploy/locks/train.txt")

import numpy as np  # noqa: E402 - after the check that the rest can be

from backends.engines.base import ModelRefused  # noqa: E402
from backends.engines.desk.gguf_reading import read_model, read_tokenizer  # noqa: E402
from backends.engines.desk.shrinking import passages_of, questions  # noqa: E402
from backends.engines.gguf_judging import judge_gguf  # noqa: E402
from backends.engines.judging import Passage  # noqa: E402
from backends.engines.requantise import RECIPES, requantise  # noqa: E402
from backends.engines.torch_engine.quantise import size_and_perplexity  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def large(weights: Path) -> Path:
    return weights.with_name("desk-large.gguf")


@pytest.fixture(scope="module")
def passages(large: Path) -> list[Passage]:
    return passages_of(read_tokenizer(large), questions(12))


@pytest.mark.parametrize(
    ("kind", "share"), [("f16", 1.0), ("q8_0", 0.533), ("q6_k", 0.498), ("q4_k", 0.341), ("q4_0", 0.302)]
)
def test_each_kind_takes_what_it_should_and_answers_as_before(
    kind: str, share: float, large: Path, passages: list[Passage], tmp_path: Path
) -> None:
    sizes = requantise(large, tmp_path / "m.gguf", kind=kind)
    assert sizes.share == pytest.approx(share, abs=0.001)
    measured = judge_gguf(tmp_path / "m.gguf", passages)
    assert measured.bytes == sizes.bytes
    assert measured.perplexity < 1.05
    assert measured.right >= 10
    kinds = {tensor.tensor_type for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors if "down" in tensor.name}
    assert kinds == {RECIPES[kind].kind}  # rows of 256: as the kind says; the router and norms stay in float32


def test_what_the_file_says_of_itself_is_kept(large: Path, tmp_path: Path) -> None:
    requantise(large, tmp_path / "m.gguf", kind="q8_0")
    before, after = gguf.GGUFReader(large), gguf.GGUFReader(tmp_path / "m.gguf")
    assert {name: field.contents() for name, field in after.fields.items()} == {
        name: field.contents() for name, field in before.fields.items()
    }
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.data, other.data)  # what lay on the grid stays where it lay


def test_llama_cpp_and_torch_find_the_same_perplexity(large: Path, passages: list[Passage]) -> None:
    through_torch = size_and_perplexity(read_model(large), passages)
    through_llama_cpp = judge_gguf(large, passages)
    assert through_llama_cpp.perplexity == pytest.approx(through_torch.perplexity, rel=2e-3)
    assert through_llama_cpp.right == through_torch.right


def test_a_passage_that_is_unlikely_is_judged_too(large: Path, passages: list[Passage]) -> None:
    given = list(passages[0].ids[: passages[0].given])
    odd = [Passage([*given, 700, 900, 130], given=len(given))]
    through_llama_cpp, through_torch = judge_gguf(large, odd), size_and_perplexity(read_model(large), odd)
    assert through_llama_cpp.right == 0
    assert through_llama_cpp.perplexity == pytest.approx(through_torch.perplexity, rel=0.05)
    assert through_llama_cpp.perplexity > 100


def test_a_model_that_does_not_shrink_is_refused_and_not_left_behind(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelRefused, match=r"does not shrink enough as q4_k: 103,040 bytes in 16 bits became 48,128, 0.47"
    ):
        requantise(weights, tmp_path / "m.gguf", kind="q4_k")
    assert list(tmp_path.iterdir()) == []


def test_what_was_rounded_to_few_bits_is_not_rounded_again(large: Path, tmp_path: Path) -> None:
    requantise(large, tmp_path / "small.gguf", kind="q4_0")
    with pytest.raises(ModelRefused, match=r"holds blk.* in Q4_0 already; convert from 32, 16 or 8 bits"):
        requantise(tmp_path / "small.gguf", tmp_path / "m.gguf", kind="q8_0")


def test_a_broken_file_is_refused(broken_weights: Path, tmp_path: Path) -> None:
    for broken in (broken_weights, tmp_path / "none.gguf", Path(__file__)):
        with pytest.raises(ModelRefused, match=r"cannot read .* as GGUF"):
            requantise(broken, tmp_path / "m.gguf", kind="q4_0")
        with pytest.raises(ModelRefused, match=r"cannot read .* as GGUF"):
            judge_gguf(broken, [])


def test_a_library_that_does_not_hand_out_its_quantiser_is_told_of(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.engines.requantise.ctypes.CDLL", lambda _: object())
    with pytest.raises(ModelRefused, match="does not hand out ggml_quantize_chunk"):
        requantise(large, tmp_path / "m.gguf", kind="q4_0")
