"""What can be chosen of how replicas are asked: frozen models, with their defaults.

Knows the keys of the configuration, not the file they stand in.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BalanceOptions(_Options):
    """Which of several replicas is asked.

    Attributes:
        use: "least_connections": the least busy one; "power_of_two": of two that chance names, the one expected to
            answer sooner; "round_robin": one after the other.
        prefix_affinity: who holds the prompt's beginning goes first, unless it is much busier.
        slow_start: seconds in which the share of a replica that came back rises from a tenth to that of the others; 0
            for at once.
    """

    use: Literal["least_connections", "power_of_two", "round_robin"] = "least_connections"
    prefix_affinity: bool = True
    slow_start: Annotated[float, Field(ge=0, le=3600)] = 10.0


class EjectionOptions(_Options):
    """When a replica is taken out of service; the last one never is.

    Attributes:
        after: failures in a row.
        seconds: for how long the first time; the second time twice as long, and so on to ten times.
    """

    after: Annotated[int, Field(ge=1, le=1000)] = 5
    seconds: Seconds = 30.0


class HealthOptions(_Options):
    """Whether replicas are asked for their health.

    Attributes:
        enabled: None: where there are several.
        interval: seconds between two checks, a fifth more or less.
    """

    enabled: bool | None = None
    interval: Seconds = 5.0


class LimitsOptions(_Options):
    """How many calls may be under way, and who waits.

    Attributes:
        in_flight: of all replicas together; None for as many as come.
        queue: calls that wait for room where there is a limit; those beyond are refused.
        wait: seconds that one waits before it is refused.
        weights: of tenants, by name, when they take turns; one that is not named has 1.
    """

    in_flight: Annotated[int, Field(ge=1)] | None = None
    queue: Annotated[int, Field(ge=0, le=100_000)] = 256
    wait: Seconds = 2.0
    weights: dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=dict)


class ReplicaLimitsOptions(LimitsOptions):
    """The same, for each replica besides.

    Attributes:
        in_flight_per_replica: None for as many as come.
    """

    in_flight_per_replica: Annotated[int, Field(ge=1)] | None = None


class RetryOptions(_Options):
    """Whether a call that a replica failed goes to another one, before anything of it has gone out.

    Attributes:
        more: tries after the first; 0 for none.
        share: retries under way for each first try.
        least: retries that may be under way however few calls are.
    """

    more: Annotated[int, Field(ge=0, le=10)] = 2
    share: Share = 0.2
    least: Annotated[int, Field(ge=0)] = 4


class HedgeOptions(_Options):
    """Whether a second replica is asked when the first takes long; what the slower one did is paid for as well.

    Attributes:
        after: seconds without a first byte, or "p95" for what 95 % of the last calls took; None for never.
        share: of all calls, that may be hedged.
    """

    after: Seconds | Literal["p95"] | None = None
    share: Share = 0.05


class CommitOptions(_Options):
    """Whether the beginning of a stream is held back until a word was said, so that another replica can stand in.

    Attributes:
        wait: seconds at most; 0 for not at all.
        bytes: at most.
    """

    wait: Annotated[float, Field(ge=0, le=60)] = 0.0
    bytes: Annotated[int, Field(ge=1, le=1 << 20)] = 4096


class ReplicaOptions(_Options):
    """How several servers of one model are asked.

    Attributes:
        balance: which of them.
        ejection: when one is taken out of service.
        health: whether they are asked for their health.
        limits: how many calls may be under way.
        retries: whether a call goes to another one.
        hedge: whether a second one is asked beside the first.
        commit: whether the beginning of a stream is held back.
    """

    balance: BalanceOptions = BalanceOptions()
    ejection: EjectionOptions = EjectionOptions()
    health: HealthOptions = HealthOptions()
    limits: ReplicaLimitsOptions = ReplicaLimitsOptions()
    retries: RetryOptions = RetryOptions()
    hedge: HedgeOptions = HedgeOptions()
    commit: CommitOptions = CommitOptions()
