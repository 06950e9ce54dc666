"""What can be chosen about the gateway, and what is chosen where nothing is said.

Frozen values, checked as a whole; each part that has kinds is built by its own package's options. Reads no
file and no environment.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from cache.options import CacheOptions
from classifier.options import GENERAL, ClassifierOptions
from router.base import Tier
from router.config.alerts import AlertsOptions
from router.config.families import families_of
from router.config.kinds import BackendOptions
from router.config.limits import LimitsOptions, TenantOptions
from router.guards.keys import DEFAULT_TENANT
from router.ledger.cubes import DAY
from router.ledger.place import LedgerPlace, PostgresPlace, SqlitePlace, is_address
from router.ledger.retention import Retention
from router.model_names import EMBEDDINGS, MAX_NAME, VIRTUAL

MIN_KEY: Final = 16  # characters; a shorter key can be guessed
_ALIAS: Final = re.compile(rf"[!-~]{{1,{MAX_NAME}}}")
_USERINFO: Final = re.compile(r"://[^/@\s\"]*@")


def _a_number(value: object) -> object:
    """Refuse true and false, which are whole numbers to the language and slips in a file."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "must be a number")
    return value


def _one_for_each_core(value: object) -> object:
    return 0 if value == "auto" else value


_Number = BeforeValidator(_a_number)
Seconds = Annotated[float, Field(gt=0, le=86_400), _Number]


class Options(BaseModel):
    """One part of the file: unknown keys are faults, errors quote no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerOptions(Options):
    """Where the gateway listens, and for how long it waits.

    Attributes:
        host: an address or name; anything but loopback needs keys.
        port: 0 lets the system choose one.
        max_body_bytes: a longer request is refused.
        content_urls: messages may name addresses of pictures and files, which backends fetch from where they stand;
            else only what is sent itself, as `data:`, is taken.
        request_timeout: seconds for a whole request, all attempts together.
        drain_timeout: seconds that running replies get to finish when the gateway stops.
        workers: processes that answer; "auto", or 0, takes one for each core.
        admin_port: where those who run the gateway can have it reload; None: nowhere.
        admin_host: its address; anything but loopback needs `admin_key`.
        admin_key: asked for there, as a bearer token; no tenant's key is ever taken.
        watch: seconds between two looks whether the file has changed; None reloads on request only.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Annotated[int, Field(ge=0, le=65_535), _Number] = 8080
    max_body_bytes: Annotated[int, Field(ge=1_024, le=1 << 30), _Number] = 4 << 20
    content_urls: bool = False
    request_timeout: Seconds = 600.0
    drain_timeout: Seconds = 10.0
    workers: Annotated[int, Field(ge=0, le=256), BeforeValidator(_one_for_each_core), _Number] = 1
    admin_port: Annotated[int, Field(ge=0, le=65_535), _Number] | None = None
    admin_host: str = Field(default="127.0.0.1", min_length=1)
    admin_key: SecretStr | None = Field(default=None, min_length=MIN_KEY)
    watch: Annotated[float, Field(ge=0.1, le=86_400), _Number] | None = None

    @property
    def processes(self) -> int:
        """Return how many processes answer."""
        if self.workers:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return _is_loopback(self.host)

    @model_validator(mode="after")
    def _no_admin_outside_without_a_key(self) -> Self:
        if self.admin_key is None and not _is_loopback(self.admin_host):
            raise PydanticCustomError(
                "open_admin",
                "needs admin_key, since others than this machine can connect; add it, or use 127.0.0.1",
                {"at": ("server", "admin_host")},
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


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


class ThresholdOptions(Options):
    """Large from a score on.

    Attributes:
        threshold: 0.0 to 1.0; None takes the one that the classifier's weights suggest.
        default_tier: where a request goes that has no score.
        affinity: what the score sends to Mini stays with Large where Large holds the conversation's KV and so costs no
            more. Quality cannot fall by it, nor, as far as can be told before, does cost rise: so it is on.
    """

    use: Literal["threshold"] = "threshold"
    threshold: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    default_tier: Tier = Tier.LARGE
    affinity: bool = True


class CascadeOptions(Options):
    """Mini for what is easy, Large for what is hard; between them Mini first, and Large where Mini is likely wrong.

    Attributes:
        easy: scores below it go to Mini unverified, 0.0 to 1.0; None: half the threshold of the classifier's weights.
        hard: scores from it on go to Large at once; None: half way from that threshold to 1.
        wrong: Large answers from this probability on that Mini's reply is wrong.
        verifier: a file of weights for that probability; None takes the shipped ones.
        second_sample: Mini is asked twice at the same time; the second reply only judges the first. None: where
            log-probabilities are not asked for, since beside them it tells little.
        second_instruction: what the second sample is told in addition; None: nothing where Mini is a local engine,
            since a small model knows no words but those it was trained on, or else to work it out anew.
        ask_logprobs: have Mini tell log-probabilities, which do not reach callers who asked for none; None: where
            Mini is a local engine.
        hold_tokens: of a stream, that are held back at most until it is judged.
        hold_seconds: that a stream is held back at most, from the request on, and that a whole reply waits for the
            second sample.
        default_tier: where a request goes that has no score.
        affinity: what the score sends to Mini stays with Large where Large holds the conversation's KV and so costs no
            more. Quality cannot fall by it, nor, as far as can be told before, does cost rise: so it is on.
    """

    use: Literal["cascade"]
    easy: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    hard: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    wrong: Annotated[float, Field(ge=0, le=1), _Number] = 0.5
    verifier: Path | None = None
    second_sample: bool | None = None
    second_instruction: Annotated[str, Field(max_length=1_000)] | None = None
    ask_logprobs: bool | None = None
    hold_tokens: Annotated[int, Field(ge=1, le=4_096), _Number] = 24
    hold_seconds: Annotated[float, Field(gt=0, le=60), _Number] = 0.5
    default_tier: Tier = Tier.LARGE
    affinity: bool = True

    @model_validator(mode="after")
    def _zones_are_in_order(self) -> Self:
        if self.easy is not None and self.hard is not None and self.easy > self.hard:
            raise PydanticCustomError("zones", "must have easy at or below hard")
        return self


class CertifiedOptions(Options):
    """Large from a score on that was certified to keep a promise.

    Attributes:
        file: made by `./tandem calibrate`; its calibration gives the scores, too.
        loss: how much quality may be lost on average against all-Large, above 0.0, up to 0.4; the file's loosest level
            that is at least so strict is taken.
        confidence: with which it was certified, or a higher one.
        default_tier: where a request goes that has no score; with Mini the promise is of scored requests alone.
        affinity: what the score sends to Mini stays with Large where Large holds the conversation's KV and so costs no
            more. Quality cannot fall by it, nor, as far as can be told before, does cost rise: so it is on.
    """

    use: Literal["certified"]
    file: Path
    loss: Annotated[float, Field(gt=0, le=0.4), _Number] = 0.02
    confidence: Annotated[float, Field(gt=0, lt=1), _Number] = 0.9
    default_tier: Tier = Tier.LARGE
    affinity: bool = True


class ExplicitOptions(Options):
    """One tier for everything that names none."""

    use: Literal["explicit"]
    tier: Tier
    affinity: ClassVar[bool] = False  # nothing is scored, so nothing could stay


def _no_experiment(chosen: object) -> object:
    """Say of a policy `experiment` where experiments are: beside any policy, none of which is theirs."""
    if isinstance(chosen, dict) and chosen.get("use") == "experiment":
        raise PydanticCustomError(
            "experiment",
            "must not be experiment: experiments stand beside any policy, which answers whoever takes no part; leave "
            "the policy as it is, and begin one with ./tandem experiment start FILE",
        )
    return chosen


PolicyOptions = Annotated[
    ThresholdOptions | CascadeOptions | CertifiedOptions | ExplicitOptions,
    Field(discriminator="use"),
    BeforeValidator(_no_experiment),
]


class RecordOptions(Options):
    """For how long records are kept, wherever that is.

    Attributes:
        raw_days: days until a request's own rows are erased, by whole days; their sums stay. None: never.
        hour_days: days until sums of hours, and those of users and conversations, are erased; those of days stay.
            None: never.
        reply_keys: what names a request's kept reply is recorded also where nothing is kept, so that a cache can be
            replayed that there was not; where there is one it always is.
    """

    raw_days: Annotated[float, Field(ge=1, le=36_500), _Number] | None = 30.0
    hour_days: Annotated[float, Field(ge=1, le=36_500), _Number] | None = 400.0
    reply_keys: bool = False

    @property
    def retention(self) -> Retention:
        """Return the same in seconds."""
        raw, hours = (None if days is None else days * DAY for days in (self.raw_days, self.hour_days))
        return Retention(raw, hours)


class SqliteLedgerOptions(RecordOptions):
    """Records are kept in a file.

    Attributes:
        path: of the file; a relative one is below the working directory.
    """

    use: Literal["sqlite"] = "sqlite"
    path: Path = Path("tandem.db")

    @property
    def place(self) -> LedgerPlace:
        """Return where that is."""
        return SqlitePlace(self.path)


class PostgresLedgerOptions(RecordOptions):
    """Records are kept in PostgreSQL; needs the extra "postgres".

    Attributes:
        url: of a database of its own, such as "postgresql://tandem:${PASSWORD}@db:5432/tandem". Between it and the
            gateway may be nothing that shares connections, such as PgBouncer by transactions.
        path: what is no record is kept in files all the same, such as stored completions; they are named after this
            one, which is not made itself.
    """

    use: Literal["postgres"]
    url: SecretStr
    path: Path = Path("tandem.db")

    @field_validator("url")
    @classmethod
    def _names_a_database(cls, url: SecretStr) -> SecretStr:
        if not is_address(url.get_secret_value()):
            raise PydanticCustomError("ledger_url", "must be an address such as postgresql://user@host:5432/name")
        return url

    @property
    def place(self) -> LedgerPlace:
        """Return where that is."""
        return PostgresPlace(self.url.get_secret_value())


def _a_file_where_nothing_is_said(chosen: object) -> object:
    return {"use": "sqlite", **chosen} if isinstance(chosen, dict) else chosen


LedgerOptions = Annotated[
    SqliteLedgerOptions | PostgresLedgerOptions,
    Field(discriminator="use"),
    BeforeValidator(_a_file_where_nothing_is_said),
]


class StoredOptions(Options):
    """What callers have us store: completions and responses, with their text.

    Attributes:
        path: of the file, which several processes may share; None: beside the ledger, with -stored in its name.
        retention_days: days until an object is erased.
        max_bytes_per_tenant: what would be more is refused until something is deleted.
    """

    path: Path | None = None
    retention_days: Annotated[float, Field(gt=0, le=3_650), _Number] = 30.0
    max_bytes_per_tenant: Annotated[int, Field(ge=1 << 20, le=1 << 40), _Number] = 256 << 20

    def beside(self, ledger: Path) -> Path:
        """Return the file's path."""
        return self.path or ledger.with_name(f"{ledger.stem}-stored{ledger.suffix}")


class JudgeOptions(Options):
    """Who compares both tiers' replies to requests that are sampled for shadow calls.

    Attributes:
        backend: its model, which must be of another family than both tiers' models.
        family: of its model, where the model's name does not tell it.
        tier_families: of the tiers' models, where their names do not tell them.
        share: of the pairs, 0.0 to 1.0; each takes two calls.
        max_per_minute: pairs; likewise.
        timeout: seconds for one call.
    """

    backend: BackendOptions
    family: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] | None = None
    tier_families: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], ...] = ()
    share: Annotated[float, Field(ge=0, le=1), _Number] = 1.0
    max_per_minute: Annotated[int, Field(ge=1, le=10_000), _Number] = 30
    timeout: Seconds = 60.0


class QualityOptions(Options):
    """How replies are looked at, beside the loop and without keeping them.

    Attributes:
        assess: look for loops, refusals, empty and cut replies, and verify what can be verified.
        cpu_share: of one core, that this may take in each process while it has little to do, and a fifth of that while
            it has much; replies of which something can be verified are all looked at, whatever it is.
        waiting: replies that wait for it; those that find the queue full are counted and let go.
        judge: who compares both tiers' replies; None compares their final answers alone.
        resolution_hours: after a conversation is closed, in which it may open again; a tenant's own stands with the
            tenant.
        complex_from: the first score of a conversation from which on it counts as complex; the same for all arms of an
            experiment, whatever their thresholds.
    """

    assess: bool = True
    cpu_share: Annotated[float, Field(gt=0, le=1), _Number] = 0.01
    waiting: Annotated[int, Field(ge=1, le=65_536), _Number] = 256
    judge: JudgeOptions | None = None
    resolution_hours: Annotated[float, Field(gt=0, le=8_760), _Number] = 72.0
    complex_from: Annotated[float, Field(ge=0, le=1), _Number] = 0.5


class ExperimentsOptions(Options):
    """Where experiments stand that `./tandem experiment start` has begun.

    Attributes:
        folder: several processes may share it; None: beside the ledger, with -experiments in its name.
    """

    folder: Path | None = None

    def beside(self, ledger: Path) -> Path:
        """Return the folder's path."""
        return self.folder or ledger.with_name(f"{ledger.stem}-experiments")


class LogOptions(Options):
    """What is told on standard error, one line at a time.

    Attributes:
        format: "text" for people, "json" for programs.
        level: the least serious lines that are told.
        requests: each request gets a line; those that fail always do.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    requests: bool = False


class TracingOptions(Options):
    """Where spans go, by OpenTelemetry's protocol over HTTP; needs the extra "otel".

    Attributes:
        endpoint: of the collector, such as "http://127.0.0.1:4318/v1/traces"; None makes no spans.
        service: the name of this gateway among other services.
        share: of the traces that begin here; one that a caller has begun is followed as they have chosen.
    """

    endpoint: Annotated[str, Field(pattern=r"^https?://[!-~]+$")] | None = None
    service: str = Field(default="tandem", min_length=1, max_length=64)
    share: Annotated[float, Field(ge=0, le=1), _Number] = 1.0


class LargeShareOptions(Options):
    """How much of a tenant's traffic the score may send to Large before it is told, or capped.

    Attributes:
        usual: share of Large among the decisions by score, escalations included, 0.0 to 1.0; None learns each tenant's
            from its first `window` of them.
        margin: how much more may pass.
        window: decisions, over which the margin is meant.
        cap: what is above goes to Mini, lowest scores first, and under a cascade is verified there; false only counts
            it; None caps where keys tell tenants apart.
    """

    usual: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    margin: Annotated[float, Field(gt=0, le=1), _Number] = 0.05
    window: Annotated[int, Field(ge=100, le=1_000_000), _Number] = 1_000
    cap: bool | None = None


Share = Annotated[float, Field(ge=0, le=1), _Number]


class LearningOptions(Options):
    """What is learnt from traffic, and with how much of it.

    Attributes:
        shadow: probability with which a request that its score sent to Mini is sent to Large too, for a label; 0 for
            none.
        shadow_large: the same for Large's requests, sent to Mini too.
        seed: of the draws; None takes one that nobody knows.
        concurrency: shadow calls at a time; what would be one more is dropped.
        max_per_minute: shadow calls begun; likewise.
        keep_text: the prompts of sampled requests are kept, so that a classifier can be fitted on them.
        retention_days: days until text that was kept is erased: prompts, and comments of ratings.
        registry: folder of the classifier's versions; None leaves the one that the file names.
        cost_weight: quality that a whole Large reply is held to be worth where two versions are compared.
    """

    shadow: Share = 0.0
    shadow_large: Share = 0.0
    seed: Annotated[int, _Number] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256), _Number] = 4
    max_per_minute: Annotated[int, Field(ge=1, le=100_000), _Number] = 60
    keep_text: bool = True
    retention_days: Annotated[float, Field(gt=0, le=3_650), _Number] = 30.0
    registry: Path | None = None
    cost_weight: Annotated[float, Field(gt=0, le=1), _Number] = 0.3

    @property
    def shares(self) -> dict[Tier, float]:
        """Return the probabilities by the tier that was decided on."""
        return {Tier.MINI: self.shadow, Tier.LARGE: self.shadow_large}


class KeyOptions(Options):
    """One key of a tenant, as its digest or, from the environment, as itself.

    Attributes:
        tenant: letters, digits and . _ - only: it stands in metrics and records.
        sha256: of the key, 64 hexadecimal digits.
        key: the key; meant to be written as "${NAME}".
    """

    tenant: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    key: SecretStr | None = None

    @field_validator("key")
    @classmethod
    def _can_be_sent(cls, key: SecretStr | None) -> SecretStr | None:
        text = "" if key is None else key.get_secret_value()
        if key is not None and (len(text) < MIN_KEY or not text.isascii() or not text.isprintable() or " " in text):
            raise PydanticCustomError("key", f"must be {MIN_KEY} or more printable ASCII characters without blanks")
        return key

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.sha256 is None) == (self.key is None):
            raise PydanticCustomError("key", "must have either sha256 or key")
        return self

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 digest of the key."""
        if self.key is not None:
            return hashlib.sha256(self.key.get_secret_value().encode()).digest()
        return bytes.fromhex(self.sha256 or "")


class CertificateOptions(Options):
    """What was shown of Mini; the path alone may be written in its place.

    Attributes:
        file: made by `./tandem certify`; requests of a slice that did not pass go to Large where the choice is ours.
        max_age_days: from when on the file counts for nothing, and all such requests go to Large.
        failover: Mini stands in for a Large that is away also for requests that it was not certified for.
    """

    file: Path
    max_age_days: Annotated[float, Field(gt=0, le=3_650), _Number] = 90.0
    failover: bool = False


def _file_alone(chosen: object) -> object:
    return {"file": chosen} if isinstance(chosen, str | Path) else chosen


_Certificate = Annotated[
    CertificateOptions, BeforeValidator(_file_alone, json_schema_input_type=CertificateOptions | str)
]


class DashboardOptions(Options):
    """Who may look at the dashboard.

    Attributes:
        password: asked for by HTTP Basic, with any user name; without one, only a gateway on loopback shows it.
    """

    password: SecretStr | None = Field(default=None, min_length=12)


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
    certificate: _Certificate | None = None
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
