"""backends/engines/torch_engine/adapters.py: each answers as if it were alone, and none of another model is taken."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from transformers import AutoModelForCausalLM  # noqa: E402 - after the check that it can be

from backends.engines.base import Ask, ModelRefused  # noqa: E402
from backends.engines.torch_engine.adapters import open_adapters  # noqa: E402
from backends.engines.torch_engine.engine import TorchEngine  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from tests.backends.engines.torch_engine.conftest import options_for, read  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_model  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's

IDS = torch.tensor([[1, 17, 42, 99, 7, 120]])


def write_adapter(base: Path, folder: Path, *, seed: int, **settings: Any) -> Path:
    torch.manual_seed(seed)
    config = peft.LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, **settings})
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        "red": write_adapter(folders["mistral"], root / "red", seed=1),
        "blue": write_adapter(folders["mistral"], root / "blue", seed=2, target_modules=["o_proj", "down_proj"], r=2),
    }


def merged_logits(base: Path, adapter: Path) -> Any:
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def test_each_adapter_gives_what_it_would_give_merged_and_none_what_the_model_gives(
    folders: dict[str, Path], adapters: dict[str, Path]
) -> None:
    base = folders["mistral"]
    loaded = load_model(options_for(base))
    with torch.inference_mode():
        plain = loaded.model(input_ids=IDS).logits
    opened = open_adapters(loaded, options_for(base, adapters=adapters))
    assert opened.names() == {"red", "blue"}
    expected = {name: merged_logits(base, folder) for name, folder in adapters.items()} | {"": plain}
    with torch.inference_mode():
        for name in ("", "red", "blue", "", "blue", "red", "red"):
            with opened.applied(name):
                torch.testing.assert_close(loaded.model(input_ids=IDS).logits, expected[name], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected["red"], expected["blue"], atol=0.1)
    assert not torch.allclose(expected["red"], plain, atol=0.1)
    assert opened.gauges() == {"adapters_loaded": 2.0, "adapter_switches_total": 6.0}


async def test_answers_of_several_adapters_at_once_are_those_that_each_gives_alone(
    folders: dict[str, Path], adapters: dict[str, Path], make_ask: Callable[..., Ask]
) -> None:
    engine = TorchEngine(options_for(folders["mistral"], adapters=adapters), None)
    await engine.start()
    try:
        asks = [
            msgspec.structs.replace(make_ask(path="/completions", prompt="the question", max_tokens=12), adapter=name)
            for name in ("", "red", "blue")
        ]
        alone = [text_of(await read(engine, ask)) for ask in asks]
        together = [text_of(raw) for raw in await asyncio.gather(*(read(engine, ask) for ask in asks * 3))]
    finally:
        await engine.aclose()
    assert together == alone * 3
    assert len(set(alone)) == 3


def text_of(raw: bytes) -> str:
    text: str = msgspec.json.decode(raw)["choices"][0]["text"]
    return text


def test_an_adapter_is_laid_over_packed_weights_too(folders: dict[str, Path], tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", kind="mixtral", hidden_size=64, initializer_range=0.1)
    folder = write_adapter(base, tmp_path / "red", seed=1)
    loaded = load_model(options_for(base, quantise="int8"))
    opened = open_adapters(loaded, options_for(base, adapters={"red": folder}))
    with torch.inference_mode(), opened.applied("red"):
        adapted = loaded.model(input_ids=IDS).logits
    expected = merged_logits(base, folder)
    assert (adapted - expected).abs().mean() < 0.05 * expected.std()


def test_an_adapter_of_another_model_is_refused_though_its_shapes_fit(
    folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other-model", kind="mistral", seed=8)
    folder = write_adapter(other, tmp_path / "theirs", seed=1)
    loaded = load_model(options_for(folders["mistral"]))
    with pytest.raises(ModelRefused, match=r"made for .*other-model and does not fit .*mistral"):
        open_adapters(loaded, options_for(folders["mistral"], adapters={**adapters, "theirs": folder}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_size": 64}, r"does not fit .*mistral: .*lora_A.* is made for 64 numbers, and the layer has 48"),
        ({"num_hidden_layers": 3}, r"does not fit .*mistral: only one of them has .*layers\.2"),
    ],
)
def test_an_adapter_that_names_no_model_is_known_by_its_shapes(
    folders: dict[str, Path], tmp_path: Path, changes: dict[str, int], told: str
) -> None:
    folder = write_adapter(write_model(tmp_path / "other", kind="mistral", **changes), tmp_path / "theirs", seed=1)
    say(folder, base_model_name_or_path=None)
    loaded = load_model(options_for(folders["mistral"]))
    with pytest.raises(ModelRefused, match=told):
        open_adapters(loaded, options_for(folders["mistral"], adapters={"theirs": folder}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"peft_type": "IA3"}, "adapter red in .* is of kind IA3"),
        ({"modules_to_save": ["lm_head"]}, "replaces whole layers"),
        ({"bias": "all"}, "replaces whole layers, tokens or biases"),
        ({"target_modules": ["no_such_proj"]}, "does not fit .*no_such_proj"),
        ({"target_modules": ["q_proj", "k_proj"]}, r"does not fit .*only one of them has .*k_proj"),
        ({"r": 6}, "does not fit .*"),
        ({"peft_type": 3}, "cannot read adapter red in"),
    ],
)
def test_what_is_no_whole_lora_adapter_is_refused(
    folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    folder = shutil.copytree(adapters["red"], tmp_path / "red")
    say(folder, **changes)
    loaded = load_model(options_for(folders["mistral"]))
    with pytest.raises(ModelRefused, match=told):
        open_adapters(loaded, options_for(folders["mistral"], adapters={"red": folder}))


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_is_none_of_an_adapter_is_refused(
    folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path, missing: str
) -> None:
    folder = shutil.copytree(adapters["red"], tmp_path / "red")
    (folder / missing).write_bytes(b"{")
    options = options_for(folders["mistral"], adapters={"red": folder})
    with pytest.raises(ModelRefused, match="cannot read adapter red"):
        open_adapters(load_model(options), options)
    (folder / missing).unlink()
    with pytest.raises(ModelRefused, match="cannot read adapter red"):
        open_adapters(load_model(options), options)


@pytest.mark.parametrize(
    "theirs", ["mistralai/Mistral", "/somewhere/Mistral/", "/cache/models--mistralai--Mistral/snapshots/0a1b2c"]
)
def test_one_model_is_known_by_its_name_wherever_it_lies(
    folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path, theirs: str
) -> None:
    folder = shutil.copytree(adapters["red"], tmp_path / "red")
    say(folder, base_model_name_or_path=theirs)
    options = options_for(folders["mistral"], adapters={"red": folder})
    assert open_adapters(load_model(options), options).names() == {"red"}


def say(folder: Path, **changes: Any) -> None:
    told = msgspec.json.decode((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_bytes(msgspec.json.encode(told | changes))
