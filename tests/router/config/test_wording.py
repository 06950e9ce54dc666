"""Tests of router/config/wording.py."""

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from router.config.document import Document, Note
from router.config.models import Config
from router.config.wording import Wording

SECRET = "canary-5f1d9c27"


class Careless(BaseModel):
    """Options whose errors quote what they were given."""

    url: str

    @field_validator("url")
    @classmethod
    def _refuse(cls, url: str) -> str:
        raise ValueError(f"Url {url} has the scheme '{url[:9]}': use http")


def notes_on(kind: type[BaseModel], values: dict[str, object], *, secrets: set[str]) -> list[Note]:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(values)
    return Wording(Document(values), values, secrets=secrets).notes_on(refused.value)


@pytest.mark.parametrize("secrets", [{SECRET}, set[str]()])
def test_a_careless_validator_does_not_give_a_secret_away(secrets: set[str]) -> None:
    (note,) = notes_on(Careless, {"url": SECRET}, secrets=secrets)
    assert note.message == "url ... has the scheme '...': use http"


def test_the_nearest_choice_is_suggested_and_the_given_one_not_repeated() -> None:
    (note,) = notes_on(Config, {"policy": {"use": "explicit", "tier": "minni"}}, secrets=set())
    assert (note.steps, note.message, note.suggestion) == (
        ("policy", "tier"),
        "must be one of large, mini",
        "did you mean mini?",
    )
    (far,) = notes_on(Config, {"policy": {"use": "explicit", "tier": SECRET}}, secrets=set())
    assert far.suggestion == ""


@pytest.mark.parametrize("use", [None, 1, [], {}, "", "threshold:", "x:y"])
def test_a_kind_that_is_no_word_is_refused_like_any_other(use: object) -> None:
    notes = notes_on(Config, {"policy": {"use": use}, "backends": {"large": {"use": use}}}, secrets=set())
    assert {note.steps for note in notes} == {("policy", "use"), ("backends", "large", "use")}


def test_a_field_that_is_called_like_its_kind_keeps_its_place() -> None:
    (note,) = notes_on(Config, {"policy": {"use": "threshold", "threshold": 2}}, secrets=set())
    assert note.steps == ("policy", "threshold")


@pytest.mark.parametrize("values", [{"backends": []}, {"backends": {"large": []}}, {"keys": {}}, {"server": 1}])
def test_a_section_of_the_wrong_shape_is_named(values: dict[str, object]) -> None:
    (note,) = notes_on(Config, values, secrets=set())
    assert note.message.startswith("must be a ")
