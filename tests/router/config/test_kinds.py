"""Tests of router/config/kinds.py."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import read_config

MODULE = """
from typing import Literal
from pydantic import BaseModel, ConfigDict

class EchoOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    use: str
    model: str
    price: str = "echo"
    greeting: str = "hello"
    def build(self):
        return self.greeting

class NoBuild(BaseModel):
    use: str
    model: str
    price: str

def function():
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of an installed module with kinds of its own."""
    (tmp_path / "outside_kinds.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "outside_broken.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "outside_kinds"


def with_large(**options: object) -> Config:
    return Config.model_validate({"backends": {"large": options}})


def test_a_kind_from_outside_is_built_like_one_of_ours(package: str) -> None:
    config = with_large(use=f"{package}:EchoOptions", model="echo", greeting="hi")
    assert (config.backends.large.model, config.backends.large.price) == ("echo", "echo")
    assert str(config.backends.large.build()) == "hi"


def test_what_is_chosen_of_it_is_part_of_the_version(package: str) -> None:
    one, two = (with_large(use=f"{package}:EchoOptions", model="echo", greeting=word) for word in ("a", "b"))
    assert one.version != two.version


def test_its_faults_have_places_and_suggestions_too(package: str, tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text(f"backends:\n  large:\n    use: {package}:EchoOptions\n    greting: hi\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_config(file, {})
    assert [str(fault).removeprefix(f"{file}:") for fault in refused.value.faults] == [
        "2:3: backends.large.model: is missing; add it",
        "4:5: backends.large.greting: unknown key; did you mean `greeting`?",
    ]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("outside_kinds:NoBuild", "must be a pydantic model"),
        ("outside_kinds:function", "must be a pydantic model"),
        ("outside_kinds:Missing", r"cannot be imported \(AttributeError\)"),
        ("outside_broken:Options", r"cannot be imported \(ZeroDivisionError\)"),
        ("not_installed:Options", r"cannot be imported \(ModuleNotFoundError\)"),
        ("outside_kinds", "openai_http"),
        ("outside_kinds:", "openai_http"),
        ("os; import x:Y", "openai_http"),
    ],
)
def test_what_is_no_kind_is_refused(package: str, use: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        with_large(use=use, model="m", price="p")
