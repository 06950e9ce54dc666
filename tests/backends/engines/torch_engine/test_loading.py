"""Tests of `backends/engines/torch_engine/loading.py`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402 - what follows needs torch
from transformers import (  # noqa: E402
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from backends.engines.base import ModelRefused  # noqa: E402
from backends.engines.torch_engine import loading  # noqa: E402
from backends.engines.torch_engine.base import Loaded  # noqa: E402
from backends.engines.torch_engine.batch_trial import Runner, generated  # noqa: E402
from backends.engines.torch_engine.forwards import Forwards  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from tests.backends.engines.torch_engine.conftest import options_for  # noqa: E402
from tests.backends.engines.torch_engine.test_batching import prompts_of  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_model, write_tokenizer  # noqa: E402


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A model that a test may spoil."""
    return Path(shutil.copytree(folders["mistral"], tmp_path / "copy"))


def change(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(ModelRefused) as raised:
        load_model(options_for(folder, **changes))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_was_loaded_says_what_it_is(models: dict[str, Loaded]) -> None:
    windowed = models["windowed"]
    assert windowed.windows == (24, 24)
    assert models["mixtral"].windows == (None, None)
    assert (windowed.kv_heads, windowed.head_dim, windowed.context) == (2, 12, 1024)
    assert windowed.ends == {2}
    assert windowed.dtype is torch.float32
    assert len({loaded.digest for loaded in models.values()}) == 3


def test_the_digest_is_that_of_the_weights_and_not_of_the_place(copy: Path, models: dict[str, Loaded]) -> None:
    assert load_model(options_for(copy)).digest == models["mistral"].digest
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_model(options_for(copy)).digest != models["mistral"].digest


def test_context_is_never_longer_than_the_model_was_trained_for(folders: dict[str, Path]) -> None:
    assert load_model(options_for(folders["mistral"], context=100)).context == 100
    assert load_model(options_for(folders["mistral"], context=10_000)).context == 1024
    assert load_model(options_for(folders["mistral"], context=8)).context == 8
    assert "a context of 7 tokens" in refusal(folders["mistral"], context=7)


def test_half_precision_becomes_whole_on_a_cpu_and_bfloat16_stays(copy: Path) -> None:
    change(copy, dtype="float16")
    assert load_model(options_for(copy)).dtype is torch.float32
    change(copy, dtype="bfloat16")
    assert load_model(options_for(copy)).dtype is torch.bfloat16
    assert load_model(options_for(copy), dtype=torch.float32).dtype is torch.float32


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "there is no folder" in refusal(tmp_path / "nowhere")


def test_a_folder_without_a_configuration_is_refused(copy: Path) -> None:
    (copy / "config.json").unlink()
    assert "holds no config.json" in refusal(copy)
    (copy / "weights.gguf").write_bytes(b"GGUF")
    assert "--engine llama_cpp" in refusal(copy)


def test_a_gguf_file_is_sent_to_llama_cpp(weights: Path, tmp_path: Path) -> None:
    assert "--engine llama_cpp" in refusal(weights)
    other = tmp_path / "model.bin"
    other.write_bytes(b"1234")
    assert "give the folder" in refusal(other)


def test_a_damaged_configuration_is_refused(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    assert "config.json" in refusal(copy)
    (copy / "config.json").write_text('{"model_type": "no-such-model"}')
    assert "no-such-model" in refusal(copy)


@pytest.mark.parametrize("field", [{"num_hidden_layers": "x"}, {"dtype": "no-such-dtype"}])
def test_a_configuration_with_values_that_are_none_is_refused(copy: Path, field: dict[str, str]) -> None:
    change(copy, **field)
    assert "config.json" in refusal(copy)


def test_weights_that_do_not_fit_the_configuration_are_refused(copy: Path) -> None:
    change(copy, num_hidden_layers=1)
    assert "hold 9 tensors that its config.json has no place for, such as model.layers.1." in refusal(copy)
    change(copy, num_hidden_layers=2, hidden_size=64)
    assert "they have other shapes than config.json says" in refusal(copy)


def test_a_tensor_that_is_computed_today_is_no_obstacle(copy: Path, models: dict[str, Loaded]) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(6)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_model(options_for(copy)).context == models["mistral"].context


def test_what_is_no_causal_model_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    assert "BertForMaskedLM, no causal language model" in refusal(tmp_path)


def test_layers_without_kv_are_refused(copy: Path) -> None:
    change(copy, layer_types=["full_attention", "linear_attention"])
    assert "linear_attention" in refusal(copy)


def test_a_model_without_a_tokenizer_is_refused(copy: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (copy / file).unlink()
    assert "tokenizer" in refusal(copy)


@pytest.mark.parametrize("rows", [260, 1000])
def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path, rows: int) -> None:
    write_model(tmp_path, kind="mistral", vocab_size=rows)
    assert f"has 320 tokens, but the model has embeddings for {rows}" in refusal(tmp_path)


def test_embeddings_that_are_padded_are_no_mismatch(tmp_path: Path) -> None:
    loaded = load_model(options_for(write_model(tmp_path, kind="mistral", vocab_size=336)))
    assert loaded.tokenizer.size == 320
    loaded.model.lm_head.weight.data[320:] = loaded.model.lm_head.weight.data[5] * 2  # likelier than any real token
    runner = Runner(loaded, places=2)
    (run,) = runner.run([[5, 6, 7]], limit=30, to_the_end=False)
    runner.close()
    assert max(run.tokens) < 320


def test_weights_that_lack_tensors_are_refused(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert "lack 1 tensors, such as model.layers.1.self_attn.q_proj.weight" in refusal(copy)


def test_weights_that_are_damaged_or_missing_are_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert "cannot load the weights" in refusal(copy)
    file.unlink()
    assert "no *.safetensors" in refusal(copy)


def test_a_file_that_goes_away_while_it_is_read_is_named(tmp_path: Path) -> None:
    digest = loading._Digest(tmp_path)  # there is no config.json
    with pytest.raises(ModelRefused, match=r"config\.json: cannot be read: No such file"):
        digest.value()


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert "no numbers" in refusal(copy)


def test_a_model_that_answers_differently_in_a_batch_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(_self: Forwards, positions: Any, span: int, _window: int | None) -> Any:
        return torch.ones((len(positions), 1, positions.shape[1], span), dtype=torch.bool)

    monkeypatch.setattr(Forwards, "_mask", careless)
    assert "answers differently in a batch" in refusal(folders["mistral"])


@pytest.mark.parametrize("name", ["bloom", "falcon"])
def test_attention_that_knows_no_rows_is_refused(tmp_path: Path, name: str) -> None:
    shape: dict[str, Any] = {"vocab_size": 320, "hidden_size": 32, "bos_token_id": 1, "eos_token_id": 2}
    model = (
        BloomForCausalLM(BloomConfig(n_layer=2, n_head=4, **shape))
        if name == "bloom"
        else FalconForCausalLM(FalconConfig(num_hidden_layers=2, num_attention_heads=4, alibi=True, **shape))
    )
    model.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert name in refusal(tmp_path).lower()


def test_a_name_on_the_hub_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants as hub  # noqa: PLC0415 - only this test asks it

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    assert "nobody/nothing" in refusal(Path("nobody/nothing"))


def test_other_architectures_are_served_alike(tmp_path: Path) -> None:
    shape: dict[str, Any] = {"vocab_size": 321, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
    learned = GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=128, **ends)
    mixed = Qwen2Config(
        **shape,
        num_key_value_heads=2,
        intermediate_size=48,
        use_sliding_window=True,
        sliding_window=16,
        max_window_layers=1,
        **ends,
    )
    for name, model in (("gpt2", GPT2LMHeadModel(learned)), ("qwen2", Qwen2ForCausalLM(mixed))):
        model.save_pretrained(tmp_path / name)
        write_tokenizer(tmp_path / name)
        loaded = load_model(options_for(tmp_path / name, context=128))
        prompts = prompts_of(5, seed=13, longest=60)
        runner = Runner(loaded, places=3)
        runs = runner.run(prompts, limit=10)
        runner.close()
        assert [run.tokens for run in runs] == [generated(loaded, prompt, 10) for prompt in prompts]
        assert near_the_end(loaded)
    assert loaded.windows == (None, 16)


def near_the_end(loaded: Loaded) -> bool:
    """Compute a row that is padded beyond the last position that there is."""
    forwards = Forwards(loaded)
    cache = forwards.cache()
    with torch.inference_mode():
        forwards.compute(cache, [0], [[5] * 120], starts=[0], keep=[119])
        logits = forwards.compute(cache, [0, 1], [[6], [7] * 60], starts=[120, 0], keep=[0, 59])
    return bool(logits.isfinite().all())
