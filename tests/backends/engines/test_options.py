"""Tests backends/engines/options.py and backends/engines/engine_options.py."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backends.engines.options import SHIPPED, LocalOptions


def chosen(**values: Any) -> LocalOptions:
    return LocalOptions.model_validate({"use": "local", **values})


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_name_is_enough(name: str, root: Path) -> None:
    options = chosen(name=name)
    assert (options.model, options.price) == (name, name)
    served = options.build().process._options
    assert served.model == root / "backends" / "engines" / "models" / f"{name}.gguf"
    assert (served.name, served.threads, served.slots, served.port) == (name, 1, 4, 0)


def test_weights_of_ones_own_may_have_any_name() -> None:
    options = chosen(name="mine", weights="/srv/mine.gguf", model="m-7b", price="p", threads=8, slots=16, context=8192)
    served = options.build().process._options
    assert served.model == Path("/srv/mine.gguf")
    assert (served.name, served.threads, served.slots, served.context) == ("m-7b", 8, 16, 8192)
    assert options.price == "p"


def test_every_choice_reaches_the_engine() -> None:
    values = {
        "engine": "transformers",
        "draft": "/srv/small",
        "adapters": {"polite": "/srv/polite"},
        "quantise": "int8",
        "max_batch_size": 32,
        "max_wait": 0.25,
        "queue": 7,
        "cache_type": "q8_0",
        "kv_store": "cache.kv_blocks:open_store",
        "kv_url": "redis://here",
    }
    served = chosen(name="mine", weights="mistralai/some", **values).build().process._options
    assert (served.model, served.engine, served.draft) == (Path("mistralai/some"), "transformers", Path("/srv/small"))
    assert served.adapters == {"polite": Path("/srv/polite")}
    assert (served.quantise, served.max_batch_size, served.max_wait, served.queue) == ("int8", 32, 0.25, 7)
    assert (served.cache_type, served.kv_store, served.kv_url) == ("q8_0", values["kv_store"], "redis://here")
    assert served.places == 32


@pytest.mark.parametrize(
    ("values", "at", "message"),
    [
        ({}, ("name",), "Field required"),
        ({"name": "other"}, (), "no weights are shipped as 'other': take desk-large or desk-mini, or give weights"),
        ({"name": "desk-mini", "model": ""}, ("model",), "at least 1 character"),
        ({"name": "desk-mini", "slots": 0}, ("slots",), "greater than or equal to 1"),
        ({"name": "desk-mini", "threads": 0}, ("threads",), "greater than or equal to 1"),
        ({"name": "desk-mini", "thread": 1}, ("thread",), "Extra inputs"),
        ({"name": "desk-mini", "engine": "vllm"}, ("engine",), "'llama_cpp' or 'transformers'"),
        ({"name": "desk-mini", "queue": 0}, ("queue",), "greater than or equal to 1"),
        ({"name": "desk-mini", "max_wait": 2}, ("max_wait",), "less than or equal to 1"),
        ({"name": "desk-mini", "adapters": {"a b": "x"}}, ("adapters", "a b", "[key]"), "should match pattern"),
        ({"name": "desk-mini", "kv_store": "redis"}, ("kv_store",), "should match pattern"),
    ],
)
def test_a_wrong_choice_is_named_where_it_stands(values: dict[str, Any], at: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        chosen(**values)
    (fault,) = refusal.value.errors()
    assert fault["loc"] == at
    assert message in fault["msg"]


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ({}, (64, 256, 10.0)),
        ({"engine": "transformers", "weights": "/srv/m", "max_batch_size": 200}, (200, 256, 10.0)),
        ({"limits": {"queue": 3}}, (64, 3, 10.0)),
        ({"limits": {"in_flight": 8, "wait": 1}}, (8, 256, 1.0)),
    ],
)
def test_an_engine_gets_no_more_calls_than_it_bears(values: dict[str, Any], limits: tuple[int, int, float]) -> None:
    options = chosen(name="desk-mini", **values)
    for built in (options.build(), options.build_with_store("cache.kv_blocks:open_store", url="redis://h", secret="5")):
        found = built._limits
        assert (found.in_flight, found.queue, found.wait) == limits


def test_choosing_loads_no_engine(root: Path) -> None:
    program = (
        "import sys; from backends.engines.options import LocalOptions\n"
        "LocalOptions(use='local', name='desk-mini').build()\n"
        "sys.exit('xllamacpp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=10, check=False).returncode == 0
