"""Tests backends/identities.py."""

from pathlib import Path

import pytest

from backends.engines.options import SHIPPED, LocalOptions
from backends.identities import identity_of
from backends.options import HttpOptions


def local(**more: object) -> tuple[str, str]:
    return identity_of(LocalOptions.model_validate({"use": "local", "name": "mine", **more}))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.gguf"
    path.write_bytes(b"weights")
    return path


def test_shipped_models_are_known_by_their_weights() -> None:
    found = [identity_of(LocalOptions.model_validate({"use": "local", "name": name})) for name in SHIPPED]
    assert [name for name, _ in found] == list(SHIPPED)
    assert len({digest for _, digest in found}) == 2
    assert all(len(digest) == 64 for _, digest in found)


def test_what_decides_answers_changes_the_digest_and_what_does_not_leaves_it(weights: Path, tmp_path: Path) -> None:
    base = local(weights=weights)
    assert local(weights=weights, slots=8, threads=3, price="p", limits={"wait": 3}) == base
    adapter = tmp_path / "a.gguf"
    adapter.write_bytes(b"adapter")
    other = [
        local(weights=weights, adapters={"a": adapter}),
        local(weights=weights, cache_type="q8_0"),
        local(weights=weights, engine="transformers", quantise="int8"),
    ]
    adapter.write_bytes(b"another")
    other.append(local(weights=weights, adapters={"a": adapter}))
    weights.write_bytes(b"trained on")
    other.append(local(weights=weights))
    assert len({base, *other}) == 6


def test_a_folder_is_known_by_its_files_and_a_name_on_a_hub_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"one")
    first = local(weights=folder, engine="transformers")
    (folder / "notes.txt").write_text("nothing")
    assert local(weights=folder, engine="transformers") == first
    (folder / "model.safetensors").write_bytes(b"two")
    assert local(weights=folder, engine="transformers") != first
    assert local(weights="org/a", engine="transformers") != local(weights="org/b", engine="transformers")


def test_of_another_server_the_name_alone_is_known() -> None:
    http = HttpOptions.model_validate({"use": "openai_http", "urls": ["http://a/v1"], "model": "m", "price": "p"})
    assert identity_of(http) == ("m", "")
