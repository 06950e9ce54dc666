"""Who answers, and what callers may call them."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from router.base import Tier
from router.config.kinds import BackendOptions
from router.config.options import Options
from router.model_names import EMBEDDINGS, MAX_NAME, VIRTUAL

_ALIAS: Final = re.compile(rf"[!-~]{{1,{MAX_NAME}}}")


class BackendsOptions(Options):
    """Who answers, for each tier; a kind from outside is named as package.module:Class.

    Attributes:
        embeddings: who answers /v1/embeddings; None: nobody.
    """

    large: BackendOptions
    mini: BackendOptions
    embeddings: BackendOptions | None = None

    @field_validator("embeddings")
    @classmethod
    def _an_engine_of_ours_does_not_embed(cls, chosen: BackendOptions | None) -> BackendOptions | None:
        if chosen is not None and chosen.use == "local":
            raise PydanticCustomError(
                "no_embedder", "must be a server that embeds, such as openai_http; engines of our own write text alone"
            )
        return chosen

    @property
    def by_tier(self) -> dict[Tier, BackendOptions]:
        """Return those of the two tiers, by their tier."""
        return {Tier.LARGE: self.large, Tier.MINI: self.mini}

    @model_validator(mode="before")
    @classmethod
    def _shipped_where_nothing_is_said(cls, chosen: object) -> object:
        """Give a tier without a word the model that is shipped for it, and a local one without a name its name."""
        if not isinstance(chosen, dict):
            return chosen
        return {**chosen, **{tier.value: _shipped(tier, chosen.get(tier, {"use": "local"})) for tier in Tier}}


def _shipped(tier: Tier, options: object) -> object:
    is_nameless = isinstance(options, dict) and options.get("use") == "local" and not {"name", "weights"} & set(options)
    return {**options, "name": f"desk-{tier}"} if isinstance(options, dict) and is_nameless else options


class ModelsOptions(Options):
    """What callers may write below model.

    Attributes:
        aliases: from a name of the caller's to one of ours: auto, auto-economy, auto-quality, large, mini or, where
            something embeds, embeddings.
    """

    aliases: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("aliases")
    @classmethod
    def _each_is_a_name_of_something(cls, aliases: Mapping[str, str]) -> Mapping[str, str]:
        for alias, meant in aliases.items():
            if alias in VIRTUAL or alias == EMBEDDINGS or not _ALIAS.fullmatch(alias):
                raise PydanticCustomError("alias", "must be a name that is not ours, of 1 to 128 plain characters")
            if meant not in VIRTUAL and meant != EMBEDDINGS:
                known = ", ".join([*VIRTUAL, EMBEDDINGS])
                raise PydanticCustomError("alias", "must each stand for one of {known}", {"known": known})
        return aliases
