"""Who may ask, and who may look: keys of tenants, the dashboard's password."""

import hashlib
from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from router.config.options import Options

MIN_KEY: Final = 16  # characters; a shorter key can be guessed


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
