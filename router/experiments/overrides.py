"""An experiment's values and the gateway's configuration -> a configuration for each arm, or what is wrong.

What an arm says of a backend is laid over what is configured and checked as a whole, so that an arm can choose all
that a configuration can, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

from router.base import Tier
from router.config.document import Document, Note, Steps
from router.config.environment import fill
from router.config.kinds import BackendOptions
from router.config.models import Config
from router.config.options import Options
from router.config.policies import PolicyOptions, ThresholdOptions
from router.config.wording import Wording
from router.experiments.definition import Arm, Experiment


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment that the gateway can carry out.

    Attributes:
        configs: by the names of arms.
        values: as the file has them, with references to the environment that are not filled in.
    """

    experiment: Experiment
    configs: Mapping[str, Config]
    values: Mapping[str, object] = field(repr=False)


class NotPlanned(Exception):
    """An experiment cannot be carried out.

    Attributes:
        notes: why.
    """

    def __init__(self, notes: tuple[Note, ...]) -> None:
        super().__init__("; ".join(note.message for note in notes))
        self.notes = notes


def planned(document: Document, config: Config, env: Mapping[str, str]) -> Plan:
    """Return the plan of what a file says.

    Raises:
        NotPlanned: something is wrong; all of it is said.
    """
    filled = fill(document, env)
    notes = [*document.notes, *filled.notes]
    unions: frozenset[Steps] = frozenset({("arms", name, "policy") for name in _names_in(filled.values)})
    try:
        experiment = Experiment.model_validate(filled.values)
    except ValidationError as error:  # not kept as a cause: it holds the text, and with it secrets
        words = Wording(document, filled.values, secrets=filled.secrets, root=Experiment, unions=unions)
        raise NotPlanned((*notes, *words.notes_on(error))) from None
    merged = {name: _merged(arm, config) for name, arm in experiment.arms.items() if arm.backends}
    try:
        backends = _Overrides.model_validate({"arms": merged}).arms
    except ValidationError as error:  # likewise
        unions = frozenset({("arms", name, "backends", tier.value) for name in merged for tier in Tier})
        words = Wording(document, {"arms": merged}, secrets=filled.secrets, root=_Overrides, unions=unions)
        raise NotPlanned((*notes, *words.notes_on(error))) from None
    if notes:
        raise NotPlanned(tuple(notes))
    configs = {name: _config_of(arm, config, backends.get(name)) for name, arm in experiment.arms.items()}
    return Plan(experiment, configs, dict(document.values))


class _Tiers(Options):
    large: BackendOptions | None = None
    mini: BackendOptions | None = None


class _Merged(Options):
    backends: _Tiers


class _Overrides(Options):
    arms: dict[str, _Merged] = Field(default_factory=dict)


def _names_in(values: Mapping[str, object]) -> list[str]:
    arms = values.get("arms")
    return [name for name in arms if isinstance(name, str)] if isinstance(arms, dict) else []


def _merged(arm: Arm, config: Config) -> dict[str, object]:
    """Return what an arm says of backends, laid over what is configured."""
    tiers: dict[str, object] = {}
    for tier, said in arm.backends.items():
        usual: BaseModel = config.backends.by_tier[tier]
        tiers[tier.value] = dict(said) if "use" in said else {**usual.model_dump(exclude_unset=True), **said}
    return {"backends": tiers}


def _config_of(arm: Arm, config: Config, merged: _Merged | None) -> Config:
    """Return the configuration; the gateway's own where the arm changes nothing of it."""
    policy = _policy_of(arm, config.policy)
    tiers = {} if merged is None else {name: value for name, value in merged.backends if value is not None}
    if policy == config.policy and not tiers:
        return config
    return config.model_copy(update={"policy": policy, "backends": config.backends.model_copy(update=tiers)})


def _policy_of(arm: Arm, usual: PolicyOptions) -> PolicyOptions:
    if arm.threshold is None:
        return arm.policy or usual
    if isinstance(usual, ThresholdOptions):
        return usual.model_copy(update={"threshold": arm.threshold})
    return ThresholdOptions(threshold=arm.threshold)
