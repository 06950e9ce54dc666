"""Tests backends/capabilities.py and what the kinds of backends assume."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from backends.capabilities import Capabilities
from backends.engines.options import LocalOptions
from backends.options import HttpOptions

SERVER = {"use": "openai_http", "urls": ["http://h/v1"], "model": "m", "price": "p"}


def test_of_a_server_elsewhere_nothing_is_assumed_to_be_missing() -> None:
    can = HttpOptions.model_validate(SERVER).capabilities
    assert can.context_tokens is None
    assert not can.cuts_answers
    assert all(value for value in can.model_dump(exclude={"context_tokens", "cuts_answers"}).values())


def test_an_engine_of_our_own_reads_text_alone_and_has_the_context_of_its_weights(tmp_path: Path) -> None:
    shipped = LocalOptions.model_validate({"use": "local", "name": "desk-mini"}).capabilities
    assert (shipped.context_tokens, shipped.cuts_answers) == (1_024, True)
    assert (shipped.vision, shipped.audio, shipped.files) == (False, False, False)
    assert shipped.tools
    assert shipped.json_schema
    smaller = LocalOptions.model_validate({"use": "local", "name": "desk-mini", "context": 512}).capabilities
    assert smaller.context_tokens == 512
    own = {"use": "local", "name": "mine", "weights": tmp_path / "m.gguf", "context": 8_192}
    assert LocalOptions.model_validate(own).capabilities.context_tokens == 8_192


def test_what_the_file_says_counts() -> None:
    said = {"capabilities": {"context_tokens": 8_192, "tools": False}}
    can = HttpOptions.model_validate(SERVER | said).capabilities
    assert (can.context_tokens, can.tools, can.vision) == (8_192, False, True)
    local = LocalOptions.model_validate({"use": "local", "name": "desk-mini", **said}).capabilities
    assert (local.context_tokens, local.tools, local.vision) == (8_192, False, False)


@pytest.mark.parametrize("fault", [{"context_tokens": 0}, {"context": 8_192}, {"vision": "perhaps"}])
def test_a_slip_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Capabilities.model_validate(fault)


def test_shipped_context_is_that_of_the_shipped_weights() -> None:
    gguf = pytest.importorskip("gguf")
    models = Path(__file__).parents[2] / "backends" / "engines" / "models"
    for name in ("desk-large", "desk-mini"):
        reader = gguf.GGUFReader(models / f"{name}.gguf")
        (field,) = (field for key, field in reader.fields.items() if key.endswith(".context_length"))
        assert field.contents() == 1_024
