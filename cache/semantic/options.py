"""Keys of the config file below `cache.semantic`."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class SemanticOptions(BaseModel):
    """Give a kept reply to a question that means the same as one answered before; off unless switched on.

    Attributes:
        false_hits: share of questions that ask for something else and may be taken for the same, as measured on pairs
            that are hard to tell apart; what was not calibrated for so few takes only the same words, politeness aside.
        threshold: the lowest similarity that is a hit, 0.0 to 1.0; None: the one calibrated for `false_hits`. Needed
            where `embeddings` are used, since none is calibrated for them.
        embeddings: vectors come from the configured embeddings backend, and not from the words that ship.
        verify: share of hits for which the backend is asked all the same, after the caller has the kept reply.
        disagreements: share of verified hits that may differ from the backend's new reply; more switch it off.
        max_entries: for one tenant, system prompt, tools and set of parameters.
        max_bytes: of all entries in this process.
        ttl: seconds that a reply is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    false_hits: Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)] = 0.001
    threshold: Annotated[float | None, Field(gt=0, le=1)] = None
    embeddings: bool = False
    verify: Annotated[float, Field(ge=0, le=1)] = 0.05
    disagreements: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    max_entries: Annotated[int, Field(ge=1, le=10_000)] = 4_000
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 32 << 20
    ttl: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0

    @model_validator(mode="after")
    def _embeddings_have_a_threshold(self) -> Self:
        if self.enabled and self.embeddings and self.threshold is None:
            raise PydanticCustomError("threshold", "needs threshold: none is calibrated for vectors of a backend")
        return self
