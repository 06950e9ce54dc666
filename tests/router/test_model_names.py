"""Tests router/model_names.py."""

import pytest

from router.base import Tier, UnknownModel
from router.model_names import DEFAULT_NAMES, EMBEDDINGS, ModelNames, VirtualModel


def test_the_virtual_models_mean_a_tier_or_how_the_choice_leans() -> None:
    assert DEFAULT_NAMES.answering("auto") == VirtualModel()
    assert DEFAULT_NAMES.answering("large").tier is Tier.LARGE
    assert DEFAULT_NAMES.answering("mini").tier is Tier.MINI
    assert DEFAULT_NAMES.answering("auto-economy").lean == -DEFAULT_NAMES.answering("auto-quality").lean > 0
    assert DEFAULT_NAMES.listed == ("auto", "auto-economy", "auto-quality", "large", "mini")


def test_an_alias_means_what_it_stands_for_and_is_listed() -> None:
    names = ModelNames({"gpt-4o": "auto", "gpt-4o-mini": "mini"})
    assert names.answering("gpt-4o") == VirtualModel()
    assert names.answering("gpt-4o-mini") == VirtualModel(Tier.MINI)
    assert names.listed[-2:] == ("gpt-4o", "gpt-4o-mini")


@pytest.mark.parametrize("model", ["gpt-9", "", "AUTO", "embeddings", "x" * 10_000, "line\nend"])
def test_another_name_is_refused_with_those_that_there_are(model: str) -> None:
    with pytest.raises(UnknownModel, match="use auto, auto-economy, auto-quality, large, mini") as refused:
        DEFAULT_NAMES.answering(model)
    assert (refused.value.status, refused.value.code, refused.value.param) == (404, "model_not_found", "model")
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


def test_vectors_come_of_one_model_and_never_of_one_that_writes() -> None:
    names = ModelNames({"text-embedding-3-small": EMBEDDINGS, "gpt-4o": "auto"}, embedding=["bge-m3"])
    for known in ("embeddings", "bge-m3", "text-embedding-3-small"):
        names.check_embedding(known)
        with pytest.raises(UnknownModel):
            names.answering(known)
    for other in ("auto", "gpt-4o", "text-embedding-3-large"):
        with pytest.raises(UnknownModel, match="use bge-m3, embeddings, text-embedding-3-small"):
            names.check_embedding(other)
    assert names.listed[-3:] == ("embeddings", "text-embedding-3-small", "gpt-4o")


def test_where_nothing_embeds_it_is_said_what_to_do() -> None:
    with pytest.raises(UnknownModel, match=r"below backends\.embeddings"):
        DEFAULT_NAMES.check_embedding("text-embedding-3-small")
