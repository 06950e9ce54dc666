"""What can be chosen about tenants: how much each may, and who goes first.

Frozen values, as everything of the file; what is not said of a tenant is what the defaults say.
"""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from cache.addresses import read_address
from router.config.options import Money, Number, Options
from router.guards.limits.base import Allowance, Span
from router.guards.priorities import HIGHEST, LOWEST
from router.policies.paced import Pace

NANO: Final = Decimal(1_000_000_000)
HIGHEST_BUDGET: Final = 1_000_000  # USD; sums of ten times that are still exact inside Redis


Precedence = Literal["quality_first", "budget_first"]

_Count = Annotated[int, Field(ge=1, le=1_000_000_000), Number]
_Usd = Annotated[Decimal, Field(ge=0, le=HIGHEST_BUDGET, decimal_places=9), Money]


class AllowanceOptions(Options):
    """How much a tenant may; what is not said is not limited.

    Attributes:
        requests_per_minute: a whole minute's worth may come at once.
        tokens_per_minute: of prompts and answers together; expected at first, and corrected by what was used.
        in_flight: requests at the same time.
        budget_usd: in each window; what a request may cost at most is reserved while it runs.
        budget_window: begins at full hours, days, Mondays or months, UTC; `total` never begins anew.
        quality_floor: the least share of all-Large's quality, 0.0 to 1.0; None: the budget bends nothing. With it, the
            threshold moves towards Mini as the budget runs ahead of its window, and Mini answers where Large's worst
            case cannot be paid for any more. Under a certified policy it is a certified mean; under others, Mini
            answers no request that it is enough for with less than this probability.
        precedence: where both cannot be had; `quality_first` keeps to the floor, and then refuses with 429, while
            `budget_first` goes below it, until Mini answers all.
    """

    requests_per_minute: _Count | None = None
    tokens_per_minute: _Count | None = None
    in_flight: _Count | None = None
    budget_usd: _Usd | None = None
    budget_window: Span | None = None
    quality_floor: Annotated[float, Field(ge=0, le=1), Number] | None = None
    precedence: Precedence | None = None


class TenantOptions(AllowanceOptions):
    """One tenant.

    Attributes:
        priority: higher ones go first where requests wait for room; the highest that its requests can ask for.
        resolution_hours: after one of its conversations is closed, in which it may open again; None: as for all.
    """

    priority: Annotated[int, Field(ge=LOWEST, le=HIGHEST), Number] = 0
    resolution_hours: Annotated[float, Field(gt=0, le=8_760), Number] | None = None


class LimitsOptions(Options):
    """What holds for all tenants.

    Attributes:
        default: what each tenant may of which nothing else is said.
        shared: count in Redis, with other workers; None: where there are several.
        url: of that Redis; None takes the one that replies are kept in.
        answer_tokens: reserved for an answer whose request names no limit. None: the largest context that a backend is
            said to have, or else 16,384. A longer answer costs more than was reserved for it.
    """

    default: AllowanceOptions = AllowanceOptions()
    shared: bool | None = None
    url: str | None = Field(default=None, repr=False)
    answer_tokens: _Count | None = None

    @field_validator("url")
    @classmethod
    def _names_a_server(cls, url: str | None) -> str | None:
        if url is not None:
            read_address(url)
        return url

    @property
    def others(self) -> Allowance:
        """Return what a tenant may of which nothing is said."""
        return self.of(AllowanceOptions())

    def of(self, tenant: AllowanceOptions) -> Allowance:
        """Return what a tenant may."""
        said = self._said(tenant)
        budget = said.get("budget_usd")
        return Allowance(
            requests=said.get("requests_per_minute"),
            tokens=said.get("tokens_per_minute"),
            in_flight=said.get("in_flight"),
            budget=None if budget is None else int(budget * NANO),
            span=said.get("budget_window", Span.MONTH),
        )

    def pace_of(self, tenant: AllowanceOptions) -> Pace | None:
        """Return how a tenant's requests give way to its budget, while it has money enough; None where they do not."""
        said = self._said(tenant)
        floor = said.get("quality_floor")
        return None if floor is None else Pace(0.0, floor, budget_first=said.get("precedence") == "budget_first")

    def _said(self, tenant: AllowanceOptions) -> dict[str, Any]:
        return {**self.default.model_dump(exclude_none=True), **tenant.model_dump(exclude_none=True)}
