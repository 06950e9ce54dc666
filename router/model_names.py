"""The model that a caller names -> what is meant by it: a tier, or a choice and how it leans.

Virtual models stand here; a configuration adds aliases, so that a client may keep the name that it has always sent.
Knows no backend and no policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.base import Tier, UnknownModel

AUTO: Final = "auto"
EMBEDDINGS: Final = "embeddings"
"""The virtual model that embeds, where a backend does."""

LEANING: Final = 0.5
"""How far economy and quality move a threshold: half way to where Mini, or Large, would answer everything."""

MAX_NAME: Final = 128  # characters


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """What a name means.

    Attributes:
        tier: None leaves the choice to the policy.
        lean: how far that choice leans, from -1.0, which is Large for everything, to 1.0, which is Mini.
    """

    tier: Tier | None = None
    lean: float = 0.0


VIRTUAL: Final[Mapping[str, VirtualModel]] = {
    AUTO: VirtualModel(),
    "auto-economy": VirtualModel(lean=LEANING),
    "auto-quality": VirtualModel(lean=-LEANING),
    Tier.LARGE.value: VirtualModel(Tier.LARGE),
    Tier.MINI.value: VirtualModel(Tier.MINI),
}


class ModelNames:
    """The names of one configuration.

    Args:
        aliases: from another name to one of `VIRTUAL`, or to `EMBEDDINGS`.
        embedding: further names of the model that embeds; None where there is none.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, *, embedding: Iterable[str] | None = None) -> None:
        aliases = aliases or {}
        known = {name: VIRTUAL[meant] for name, meant in aliases.items() if meant in VIRTUAL}
        self._answering: Mapping[str, VirtualModel] = {**VIRTUAL, **known}
        embedders = {} if embedding is None else dict.fromkeys([EMBEDDINGS, *embedding])
        also = [name for name, meant in aliases.items() if meant == EMBEDDINGS]
        self._embedding = frozenset([*embedders, *also] if embedders else ())
        self._listed = tuple(dict.fromkeys([*VIRTUAL, *list(embedders)[:1], *aliases]))

    @property
    def listed(self) -> tuple[str, ...]:
        """Return every name that callers are told of."""
        return self._listed

    def answering(self, model: str) -> VirtualModel:
        """Return what is meant by the model of a request that wants text.

        Raises:
            UnknownModel: it is none of ours.
        """
        named = self._answering.get(model)
        if named is None:
            raise unknown(model, self._answering)
        return named

    def check_embedding(self, model: str) -> None:
        """Raise `UnknownModel` where the model is not one that embeds: vectors of two models must never be mixed."""
        if model in self._embedding:
            return
        if not self._embedding:
            raise UnknownModel(
                "nothing embeds here: configure a server below backends.embeddings",
                code="model_not_found",
                param="model",
            )
        raise unknown(model, sorted(self._embedding))


DEFAULT_NAMES: Final = ModelNames()
"""Those of a configuration that adds none."""


def unknown(model: str, known: Iterable[str]) -> UnknownModel:
    """Return the refusal of a name, with those that there are."""
    return UnknownModel(
        f"the model {model[:80]!a} does not exist: use {', '.join(known)}, or add an alias below models.aliases",
        code="model_not_found",
        param="model",
    )
