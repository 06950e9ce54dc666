"""What can be chosen about the gateway, and what is chosen where nothing is said.

Frozen values, checked as a whole; each part that has kinds is built by its own package's options. Reads no
file and no environment.
"""

import hashlib
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

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
from classifier.options import ClassifierOptions
from router.base import Tier
from router.config.kinds import BackendOptions

MIN_KEY: Final = 16  # characters; a shorter key can be guessed
_USERINFO: Final = re.compile(r"://[^/@\s\"]*@")


def _a_number(value: object) -> object:
    """Refuse true and false, which are whole numbers to the language and slips in a file."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "must be a number")
    return value


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
        request_timeout: seconds for a whole request, all attempts together.
        drain_timeout: seconds that running replies get to finish when the gateway stops.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Annotated[int, Field(ge=0, le=65_535), _Number] = 8080
    max_body_bytes: Annotated[int, Field(ge=1_024, le=1 << 30), _Number] = 4 << 20
    request_timeout: Seconds = 600.0
    drain_timeout: Seconds = 10.0

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"


class BackendsOptions(Options):
    """Who answers, for each tier; a kind from outside is named as package.module:Class."""

    large: BackendOptions
    mini: BackendOptions

    @property
    def by_tier(self) -> dict[Tier, BackendOptions]:
        """Return both, by their tier."""
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


class ThresholdOptions(Options):
    """Large from a score on.

    Attributes:
        threshold: 0.0 to 1.0; None takes the one that the classifier's weights suggest.
        default_tier: where a request goes that has no score.
    """

    use: Literal["threshold"] = "threshold"
    threshold: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    default_tier: Tier = Tier.LARGE


class ExplicitOptions(Options):
    """One tier for everything that names none."""

    use: Literal["explicit"]
    tier: Tier


PolicyOptions = Annotated[ThresholdOptions | ExplicitOptions, Field(discriminator="use")]


class LedgerOptions(Options):
    """Where records are kept.

    Attributes:
        path: of the file; a relative one is below the working directory.
    """

    use: Literal["sqlite"] = "sqlite"
    path: Path = Path("tandem.db")


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


class DashboardOptions(Options):
    """Who may look at the dashboard.

    Attributes:
        password: asked for by HTTP Basic, with any user name; without one, only a gateway on loopback shows it.
    """

    password: SecretStr | None = Field(default=None, min_length=12)


class Config(Options):
    """All that can be chosen.

    Attributes:
        keys: none means that no key is needed, which is allowed on loopback only.
        prices: a price book of one's own; None takes the shipped one.
    """

    server: ServerOptions = ServerOptions()
    backends: BackendsOptions = Field(default_factory=lambda: BackendsOptions.model_validate({}))
    classifier: ClassifierOptions = ClassifierOptions()
    policy: PolicyOptions = ThresholdOptions()
    cache: CacheOptions = CacheOptions()
    ledger: LedgerOptions = LedgerOptions()
    keys: tuple[KeyOptions, ...] = Field(default=(), validate_default=True)
    prices: Path | None = None
    dashboard: DashboardOptions = DashboardOptions()

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
