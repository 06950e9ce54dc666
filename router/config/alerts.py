"""What can be chosen about alerts: the limits at which they fire, and who is told.

Frozen values, as everything of the file. What each alert means stands in `router.alerts.kinds`, and what to do about it
in deploy/runbook.md.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from router.config.options import Money, Number, Options
from router.statistics.watchable import (
    DROP,
    FALSE_ALARM_EVERY,
    FEWEST,
    HIGHEST_ACCURACY,
    LOWEST_AFTER,
    SMALLEST_DROP,
)

RUNBOOK = "deploy/runbook.md"
LONGEST_URL = 2_000


_Share = Annotated[float, Field(gt=0, lt=1), Number]


class WebhookOptions(Options):
    """Who is told, in the form of Alertmanager's webhook, version 4.

    Attributes:
        url: http or https.
        secret: sent as a bearer token; meant to be written as "${NAME}".
        timeout: seconds for one attempt.
        repeat: seconds after which what still fires is told of again.
    """

    url: str
    secret: SecretStr | None = None
    timeout: Annotated[float, Field(gt=0, le=60), Number] = 5.0
    repeat: Annotated[float, Field(ge=60, le=604_800), Number] = 14_400.0

    @field_validator("url")
    @classmethod
    def _is_a_place_to_post_to(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            is_web = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            is_web = False
        if not is_web or not url.isascii() or not url.isprintable() or " " in url:
            raise PydanticCustomError("url", "must be an address that begins with http:// or https://")
        if "@" in parts.netloc:
            raise PydanticCustomError("url", "must hold neither user nor password; give what is secret as secret")
        if len(url) > LONGEST_URL:
            raise PydanticCustomError("url", f"must have {LONGEST_URL} characters at most")
        return url

    @field_validator("secret")
    @classmethod
    def _can_be_sent(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value()
        if secret is not None and (not text or not text.isascii() or not text.isprintable()):
            raise PydanticCustomError("secret", "must be printable ASCII characters")
        return secret


class AlertsOptions(Options):
    """What is watched.

    Attributes:
        enabled: false watches nothing.
        webhook: None tells nobody; what fires still stands in /metrics and on the dashboard.
        runbook: the address of deploy/runbook.md, wherever your people read it.
        memory: file in which is kept what was learnt as usual; None: beside the ledger's file, with -alerts in its
            name, or tandem-alerts.json where the ledger is no file.
        drift_window: scores that are compared with the reference at a time.
        drift_reference: first scores, of each tenant and tier, that are learnt as the reference.
        drift_alpha: probability with which a window that has not changed looks as if; two in a row are needed.
        accuracy: share of Mini's sampled replies that are right; None learns it, from the first sampled ones.
        accuracy_drop: that is to be found, absolute.
        accuracy_false_alarm_every: sampled replies between two false alarms, on average.
        overhead: seconds that 99 % of requests may spend in the gateway itself.
        cost_factor: by which an hour's spending may be above the usual; the usual is what one hour in ten is above.
        cost_usd_per_hour: USD that an hour may cost, whatever is usual; None: no such limit.
        unpriced_share: of attempts without a known cost.
        estimated_share: of attempts whose usage is an estimate, or not known.
        error_share: of requests that end in a fault of ours or of a backend's.
        budget_share: of a tenant's budget.
    """

    enabled: bool = True
    webhook: WebhookOptions | None = None
    runbook: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[!-~]+$")] = RUNBOOK
    memory: Path | None = None
    drift_window: Annotated[int, Field(ge=FEWEST, le=1_000_000), Number] = 2_000
    drift_reference: Annotated[int, Field(ge=FEWEST, le=1_000_000), Number] = 5_000
    drift_alpha: Annotated[float, Field(ge=1e-9, le=0.1), Number] = 0.001
    accuracy: Annotated[float, Field(gt=0, le=HIGHEST_ACCURACY), Number] | None = None
    accuracy_drop: Annotated[float, Field(ge=SMALLEST_DROP, lt=1), Number] = DROP
    accuracy_false_alarm_every: Annotated[float, Field(ge=200, le=10_000_000), Number] = FALSE_ALARM_EVERY
    overhead: Annotated[float, Field(gt=0, le=60), Number] = 0.05
    cost_factor: Annotated[float, Field(gt=1, le=1_000), Number] = 2.0
    cost_usd_per_hour: Annotated[Decimal, Field(gt=0, le=1_000_000), Money] | None = None
    unpriced_share: _Share = 0.001
    estimated_share: _Share = 0.01
    error_share: _Share = 0.05
    budget_share: _Share = 0.9

    @model_validator(mode="after")
    def _a_drop_leaves_something(self) -> Self:
        if self.accuracy is not None and self.accuracy < self.accuracy_drop + LOWEST_AFTER:
            raise PydanticCustomError("accuracy", "must have accuracy above accuracy_drop")
        return self

    def beside(self, ledger: Path | None) -> Path:
        """Return the path of the file of what was learnt; None stands for a ledger that is no file."""
        if self.memory is not None:
            return self.memory
        return Path("tandem-alerts.json") if ledger is None else ledger.with_name(f"{ledger.stem}-alerts.json")
