"""What can be chosen about the gateway, and what is chosen where nothing is said.

Frozen values, checked as a whole; each part has a module of its own, and each that has kinds is built by its own
package's options. Reads no file and no environment.
"""

import hashlib
import re
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from cache.options import CacheOptions
from classifier.options import GENERAL, ClassifierOptions
from router.base import Tier
from router.config.access import DashboardOptions, KeyOptions
from router.config.alerts import AlertsOptions
from router.config.families import families_of
from router.config.learning import ExperimentsOptions, LearningOptions, QualityOptions
from router.config.limits import LimitsOptions, TenantOptions
from router.config.options import Options
from router.config.policies import Certificate, LargeShareOptions, PolicyOptions, ThresholdOptions
from router.config.records import LedgerOptions, SqliteLedgerOptions, StoredOptions
from router.config.server import ServerOptions
from router.config.telling import LogOptions, TracingOptions
from router.config.tiers import BackendsOptions, ModelsOptions
from router.guards.keys import DEFAULT_TENANT
from router.model_names import EMBEDDINGS

_USERINFO: Final = re.compile(r"://[^/@\s\"]*@")


class Config(Options):
    """All that can be chosen.

    Attributes:
        certificate: what was shown of Mini; None asks for nothing to be shown.
        keys: none means that no key is needed, which is allowed on loopback only.
        tenants: what is said of each by its name; without keys there is one alone, named default.
        prices: a price book of one's own; None takes the shipped one.
    """

    server: ServerOptions = ServerOptions()
    backends: BackendsOptions = Field(default_factory=lambda: BackendsOptions.model_validate({}))
    models: ModelsOptions = ModelsOptions()
    classifier: ClassifierOptions = ClassifierOptions()
    policy: PolicyOptions = ThresholdOptions()
    certificate: Certificate | None = None
    large_share: LargeShareOptions = LargeShareOptions()
    cache: CacheOptions = CacheOptions()
    ledger: LedgerOptions = SqliteLedgerOptions()
    stored: StoredOptions = StoredOptions()
    learning: LearningOptions = LearningOptions()
    quality: QualityOptions = QualityOptions()
    experiments: ExperimentsOptions = ExperimentsOptions()
    keys: tuple[KeyOptions, ...] = Field(default=(), validate_default=True)
    limits: LimitsOptions = LimitsOptions()
    tenants: dict[str, TenantOptions] = Field(default_factory=dict)
    prices: Path | None = None
    dashboard: DashboardOptions = DashboardOptions()
    logs: LogOptions = LogOptions()
    alerts: AlertsOptions = AlertsOptions()
    tracing: TracingOptions = TracingOptions()

    @field_validator("models")
    @classmethod
    def _vectors_come_from_somewhere(cls, models: ModelsOptions, info: ValidationInfo) -> ModelsOptions:
        backends = info.data.get("backends")
        if EMBEDDINGS in models.aliases.values() and backends is not None and backends.embeddings is None:
            raise PydanticCustomError(
                "no_embedder",
                "stand for embeddings, and nothing embeds; add a server below backends.embeddings",
                {"at": ("models", "aliases")},
            )
        return models

    @field_validator("learning")
    @classmethod
    def _versions_need_weights(cls, learning: LearningOptions, info: ValidationInfo) -> LearningOptions:
        classifier = info.data.get("classifier")
        if learning.registry is not None and classifier is not None and classifier.use not in ("linear", "encoder"):
            raise PydanticCustomError(
                "no_weights",
                "needs a classifier with weights; write linear or encoder below classifier.use",
                {"at": ("learning", "registry")},
            )
        return learning

    @field_validator("quality")
    @classmethod
    def _nobody_judges_their_own(cls, quality: QualityOptions, info: ValidationInfo) -> QualityOptions:
        """Refuse a judge of the family of either tier's model, which it would lean to."""
        judge, backends = quality.judge, info.data.get("backends")
        if judge is None or backends is None:
            return quality
        own = {judge.family} if judge.family else families_of(judge.backend.model)
        tiers = [families_of(each.model) for each in backends.by_tier.values()]
        others = frozenset(judge.tier_families).union(*tiers)
        if not own:
            unknown = "has a model whose name tells no family; write it as quality.judge.family"
            raise PydanticCustomError("judge_family", unknown, {"at": ("quality", "judge", "backend")})
        if not judge.tier_families and not all(tiers):
            unknown = "needs the families of the tiers' models, whose names do not tell them; write them here"
            raise PydanticCustomError("judge_family", unknown, {"at": ("quality", "judge", "tier_families")})
        shared = sorted(own & others)
        if shared:
            leaning = "is of the family {family}, as a tier's model is, and would lean to it; take another model"
            raise PydanticCustomError(
                "judge_family", leaning, {"family": shared[0], "at": ("quality", "judge", "backend")}
            )
        return quality

    @model_validator(mode="before")
    @classmethod
    def _certified_scores_are_calibrated(cls, chosen: object) -> object:
        """Let the file of a certified policy give the scores that its thresholds are of."""
        policy = chosen.get("policy") if isinstance(chosen, dict) else None
        if not isinstance(chosen, dict) or not isinstance(policy, dict) or policy.get("use") != "certified":
            return chosen
        file, classifier = policy.get("file"), chosen.get("classifier", {})
        if not isinstance(file, str | Path) or not isinstance(classifier, dict):
            return chosen
        return {**chosen, "classifier": {"calibration": file, **classifier}}

    @field_validator("learning")
    @classmethod
    def _a_calibration_is_of_one_version(cls, learning: LearningOptions, info: ValidationInfo) -> LearningOptions:
        classifier = info.data.get("classifier")
        if learning.registry is not None and classifier is not None and classifier.calibration is not None:
            raise PydanticCustomError(
                "calibrated",
                "cannot stand beside a calibration, which belongs to one version of the weights; take one of them away",
                {"at": ("learning", "registry")},
            )
        return learning

    @model_validator(mode="before")
    @classmethod
    def _general_weights_for_other_models(cls, chosen: object) -> object:
        """Give models that are not shipped a classifier that was fitted on many, where nothing else is said."""
        if not isinstance(chosen, dict) or not isinstance(chosen.get("backends"), dict):
            return chosen
        tiers, scorer = [chosen["backends"].get(tier.value) for tier in Tier], chosen.get("classifier", {})
        are_others = any(isinstance(tier, dict) and tier.get("use", "local") != "local" for tier in tiers)
        if are_others and isinstance(scorer, dict) and scorer.get("use", "linear") == "linear":
            return {**chosen, "classifier": {"weights": GENERAL, **scorer}}
        return chosen

    @field_validator("keys")
    @classmethod
    def _each_key_names_one_tenant(cls, keys: tuple[KeyOptions, ...]) -> tuple[KeyOptions, ...]:
        seen: dict[bytes, int] = {}
        repeated: list[InitErrorDetails] = []
        for index, key in enumerate(keys):
            first = seen.setdefault(key.digest, index)
            if first != index:
                kind = PydanticCustomError("key", "is the same key as keys[{first}]", {"first": first})
                repeated.append(InitErrorDetails(type=kind, loc=(index,), input=None))
        if repeated:
            raise ValidationError.from_exception_data("Config", repeated)
        return keys

    @field_validator("keys")
    @classmethod
    def _nobody_outside_without_a_key(
        cls, keys: tuple[KeyOptions, ...], info: ValidationInfo
    ) -> tuple[KeyOptions, ...]:
        server = info.data.get("server")
        if not keys and server is not None and not server.is_loopback:
            raise PydanticCustomError(
                "open_host",
                "needs keys, since others than this machine can connect; add a key below keys, or use 127.0.0.1",
                {"at": ("server", "host")},
            )
        return keys

    @field_validator("keys")
    @classmethod
    def _no_tenant_is_the_admin(cls, keys: tuple[KeyOptions, ...], info: ValidationInfo) -> tuple[KeyOptions, ...]:
        server = info.data.get("server")
        if server is None or server.admin_key is None:
            return keys
        if hashlib.sha256(server.admin_key.get_secret_value().encode()).digest() in {key.digest for key in keys}:
            raise PydanticCustomError(
                "admin_is_a_tenant",
                "is also a tenant's key; take another one",
                {"at": ("server", "admin_key")},
            )
        return keys

    @field_validator("tenants")
    @classmethod
    def _each_tenant_has_a_key(
        cls, tenants: dict[str, TenantOptions], info: ValidationInfo
    ) -> dict[str, TenantOptions]:
        keys = info.data.get("keys")
        if keys is None:
            return tenants
        known = {key.tenant for key in keys} or {DEFAULT_TENANT}
        for name in tenants:
            if name not in known:
                fault = "is the name of no tenant; known are {known}"
                raise PydanticCustomError("tenant", fault, {"known": ", ".join(sorted(known)), "at": ("tenants", name)})
        return tenants

    @property
    def tenant_names(self) -> frozenset[str]:
        """Return all tenants that there are."""
        return frozenset(key.tenant for key in self.keys) or frozenset({DEFAULT_TENANT})

    @property
    def price_names(self) -> tuple[str, ...]:
        """Return the names in the price book of all models that may be asked: tiers, vectors and judge."""
        judge = () if self.quality.judge is None else (self.quality.judge.backend,)
        embedder = () if self.backends.embeddings is None else (self.backends.embeddings,)
        return tuple(dict.fromkeys(each.price for each in (*self.backends.by_tier.values(), *embedder, *judge)))

    @property
    def keyring(self) -> dict[bytes, str]:
        """Return tenants by the SHA-256 digest of their key."""
        return {key.digest: key.tenant for key in self.keys}

    @property
    def version(self) -> str:
        """Return a short digest of what was chosen: equal choices are equal however they were written.

        Callers see it, so keys and passwords are no part of it.
        """
        said = self.model_dump_json(exclude={"keys": {"__all__": {"sha256", "key"}}}, fallback=str)
        return hashlib.sha256(_USERINFO.sub("://@", said).encode()).hexdigest()[:12]
