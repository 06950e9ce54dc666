"""backends/engines/torch_engine/quantise.py, backends/engines/torch_engine/packing.py, backends/engines/judging.py.

The experts really shrink, what comes out is close to what came in, and what is not is refused.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM  # noqa: E402 - if it can be

from backends.engines.base import Ask, ModelRefused  # noqa: E402
from backends.engines.judging import Passage  # noqa: E402
from backends.engines.torch_engine import packing  # noqa: E402
from backends.engines.torch_engine.engine import TorchEngine  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from backends.engines.torch_engine.packing import PackedEmbedding, PackedLinear, PackedWeight  # noqa: E402
from backends.engines.torch_engine.quantise import (  # noqa: E402
    BOUNDS,
    Bound,
    convert,
    own_words,
    size_and_perplexity,
)
from tests.backends.engines.torch_engine.conftest import options_for, read  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_model  # noqa: E402

PASSAGES = [Passage([1, *range(start, start + 40)], given=5) for start in (10, 90, 200)]


def mixtral(**changes: Any) -> Any:
    torch.manual_seed(3)
    shape = {"vocab_size": 320, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2}
    return MixtralForCausalLM(MixtralConfig(**{**shape, **heads, "initializer_range": 0.05, **changes})).eval()


@pytest.mark.parametrize(("bits", "error"), [(8, 1 / 127 / 2), (4, 1 / 8)])
@pytest.mark.parametrize("shape", [(24, 64), (5, 24, 64)])
def test_what_is_unpacked_lies_within_a_step_of_what_was_packed(
    bits: int, error: float, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    weight = torch.randn(shape)
    packed = PackedWeight(weight, bits)
    groups = weight.unflatten(-1, (-1, 64 if bits == 8 else 32))
    largest = groups.abs().amax(-1, keepdim=True).expand_as(groups).flatten(-2)
    # Rounding errs by half a step; with 4 bits the largest weight may be clipped a little, where all others gain by it.
    assert ((packed.whole() - weight).abs() <= (error * 1.01 if bits == 8 else 0.31) * largest).all()
    assert (packed.whole() - weight).square().mean().sqrt() < error / 1.5 * weight.abs().max()
    assert torch.equal(torch.stack([packed[row] for row in range(shape[0])]), packed.whole())
    assert packed.codes.nbytes == weight.numel() * bits // 8


def test_a_row_of_zeros_and_a_single_weight_come_out_as_they_went_in() -> None:
    weight = torch.zeros(3, 64)
    weight[1, 7], weight[2, 40] = 0.5, -0.25
    for bits in (8, 4):
        torch.testing.assert_close(PackedWeight(weight, bits).whole(), weight, rtol=0.005, atol=0)


def test_rows_that_cannot_be_grouped_are_packed_in_eight_bits() -> None:
    assert PackedWeight(torch.randn(8, 48), 4).codes.dtype is torch.int8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits", [8, 4])
def test_layers_compute_what_their_unpacked_weights_would(bits: int, dtype: Any) -> None:
    torch.manual_seed(2)
    layer = torch.nn.Linear(64, 32).to(dtype)
    packed = PackedLinear(PackedWeight(layer.weight.detach(), bits), layer.bias)
    given = torch.randn(5, 64, dtype=dtype)
    expected = torch.nn.functional.linear(given, packed.weight, layer.bias)
    torch.testing.assert_close(packed(given), expected, rtol=0.05, atol=0.03 if dtype is torch.bfloat16 else 1e-5)
    assert (packed.in_features, packed.out_features) == (64, 32)
    table = PackedEmbedding(PackedWeight(layer.weight.detach(), 8))
    assert torch.equal(table(torch.tensor([[3, 1]])), table.packed.whole()[[3, 1]][None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_mixture_shrinks_experts_and_all_and_foretells_as_well(kind: str, dtype: Any, tied: bool) -> None:  # noqa: FBT001 - a case
    model = mixtral(tie_word_embeddings=tied).to(dtype)
    before, after = convert(model, PASSAGES, bound=BOUNDS[kind], name="tiny")
    experts = model.model.layers[0].mlp.experts
    assert isinstance(experts.gate_up_proj, PackedWeight)
    assert isinstance(experts.down_proj, PackedWeight)
    assert isinstance(model.model.layers[1].self_attn.q_proj, PackedLinear)
    assert after.bytes <= BOUNDS[kind].size * before.bytes
    assert after.perplexity / before.perplexity < {"int8": 1.005, "int4": 1.03}[kind]
    assert model.model.layers[0].mlp.gate.weight.dtype is dtype  # the router stays as it is


@pytest.mark.parametrize("tied", [True, False])
def test_embedding_and_output_layer_are_packed_each_as_it_is(tied: bool) -> None:  # noqa: FBT001 - a case
    model, ids = mixtral(tie_word_embeddings=tied), torch.tensor([PASSAGES[0].ids])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        packing.pack_embeddings(model)
        after = model(input_ids=ids).logits
    assert (after - before).std() < 0.15 * before.std()  # another matrix would be further off than 1
    assert (model.get_input_embeddings().packed is model.get_output_embeddings().packed) is tied


def test_only_the_experts_that_are_hit_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixtral(num_hidden_layers=1)
    packing.pack(model, bits=4)
    unpacked: list[int] = []
    real = packing._unpacked

    def counted(codes: Any, *rest: Any) -> Any:
        unpacked.append(codes.ndim)
        return real(codes, *rest)

    monkeypatch.setattr(packing, "_unpacked", counted)
    with torch.inference_mode():
        model(input_ids=torch.tensor([[5]]))
    assert unpacked == [2] * (4 + 2 * 2)  # four layers of attention; two experts of two matrices


def test_the_same_question_by_hand_gives_the_same_perplexity() -> None:
    model = mixtral()
    measured = size_and_perplexity(model, [Passage([4, 5, 6, 7], given=2)])
    with torch.inference_mode():
        chances = model(input_ids=torch.tensor([[4, 5, 6, 7]])).logits[0].softmax(-1)
    by_hand = math.exp(-(math.log(chances[1, 6]) + math.log(chances[2, 7])) / 2)
    assert measured.perplexity == pytest.approx(by_hand, rel=1e-5)
    assert measured.bytes == sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def test_a_passage_is_right_where_greedy_drawing_gives_it() -> None:
    model = mixtral()
    with torch.inference_mode():
        drawn = model.generate(torch.tensor([[9, 8, 7]]), max_new_tokens=12, do_sample=False, eos_token_id=None)
    right = drawn[0].tolist()
    wrong = [*right[:-1], (right[-1] + 1) % 320]
    measured = size_and_perplexity(model, [Passage(right, given=3), Passage(wrong, given=3)])
    assert (measured.right, measured.passages) == (1, 2)


def test_weights_that_do_not_shrink_are_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_fused_experts", lambda _: iter(()))  # as the usual quantisers leave them
    model = mixtral()
    with pytest.raises(
        ModelRefused, match=r"tiny does not shrink enough: [\d,]+ bytes in 16 bits became [\d,]+, 1\.\d+"
    ):
        convert(model, PASSAGES, bound=BOUNDS["int8"], name="tiny")


def test_a_model_that_becomes_worse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixtral(initializer_range=0.3)
    with torch.inference_mode():
        said = model.generate(torch.tensor([[9, 8, 7]]), max_new_tokens=40, do_sample=False, eos_token_id=None)
    passages = [Passage(said[0].tolist(), given=3)]
    real = packing.PackedWeight.__getitem__
    monkeypatch.setattr(packing.PackedWeight, "__getitem__", lambda self, expert: -real(self, expert))
    with pytest.raises(
        ModelRefused, match=r"tiny becomes worse: perplexity \d+\.\d+ turned into \d+\.\d+, by a factor"
    ):
        convert(model, passages, bound=BOUNDS["int4"], name="tiny")


def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing.PackedWeight, "__getitem__", lambda self, expert: self.whole()[expert] * math.nan)
    with pytest.raises(ModelRefused, match="turned into nan"):
        convert(mixtral(), PASSAGES, bound=Bound(bits=8, size=0.6, perplexity=1e9), name="tiny")


async def test_a_packed_model_is_loaded_and_answers(tmp_path: Path, make_ask: Callable[..., Ask]) -> None:
    folder = write_model(tmp_path / "m", kind="mixtral", hidden_size=64, initializer_range=0.08)
    engine = TorchEngine(options_for(folder, quantise="int8"), None)
    await engine.start()
    try:
        assert b'"finish_reason":"length"' in await read(engine, make_ask(max_tokens=2))
        digest = engine._loaded.digest if engine._loaded else b""
    finally:
        await engine.aclose()
    assert digest != load_model(options_for(folder)).digest
    assert len(digest) == 32


def test_a_model_is_judged_on_what_it_says_itself(folders: dict[str, Path]) -> None:
    loaded = load_model(options_for(folders["mistral"]))
    words = own_words(loaded)
    assert len(words) == 16
    assert words == own_words(loaded)
    assert len({tuple(passage.ids) for passage in words}) == 16
    assert all(len(passage.ids) > passage.given for passage in words)
    # What it draws it also foretells, far better than another model does.
    other = AutoModelForCausalLM.from_pretrained(folders["windowed"])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(parameter.flip(0))
    assert size_and_perplexity(loaded.model, words).perplexity < size_and_perplexity(other, words).perplexity / 2
