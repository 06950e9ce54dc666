"""Who decides between Large and Mini, and within which bounds."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from router.base import Tier
from router.config.options import Number, Options


class ThresholdOptions(Options):
    """Large from a score on.

    Attributes:
        threshold: 0.0 to 1.0; None takes the one that the classifier's weights suggest.
        default_tier: where a request goes that has no score.
        affinity: what the score sends to Mini stays with Large where Large holds the conversation's KV and so costs no
            more. Quality cannot fall by it, nor, as far as can be told before, does cost rise: so it is on.
    """

    use: Literal["threshold"] = "threshold"
    threshold: Annotated[float, Field(ge=0, le=1), Number] | None = None
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
    easy: Annotated[float, Field(ge=0, le=1), Number] | None = None
    hard: Annotated[float, Field(ge=0, le=1), Number] | None = None
    wrong: Annotated[float, Field(ge=0, le=1), Number] = 0.5
    verifier: Path | None = None
    second_sample: bool | None = None
    second_instruction: Annotated[str, Field(max_length=1_000)] | None = None
    ask_logprobs: bool | None = None
    hold_tokens: Annotated[int, Field(ge=1, le=4_096), Number] = 24
    hold_seconds: Annotated[float, Field(gt=0, le=60), Number] = 0.5
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
    loss: Annotated[float, Field(gt=0, le=0.4), Number] = 0.02
    confidence: Annotated[float, Field(gt=0, lt=1), Number] = 0.9
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

    usual: Annotated[float, Field(ge=0, le=1), Number] | None = None
    margin: Annotated[float, Field(gt=0, le=1), Number] = 0.05
    window: Annotated[int, Field(ge=100, le=1_000_000), Number] = 1_000
    cap: bool | None = None


class CertificateOptions(Options):
    """What was shown of Mini; the path alone may be written in its place.

    Attributes:
        file: made by `./tandem certify`; requests of a slice that did not pass go to Large where the choice is ours.
        max_age_days: from when on the file counts for nothing, and all such requests go to Large.
        failover: Mini stands in for a Large that is away also for requests that it was not certified for.
    """

    file: Path
    max_age_days: Annotated[float, Field(gt=0, le=3_650), Number] = 90.0
    failover: bool = False


def _file_alone(chosen: object) -> object:
    return {"file": chosen} if isinstance(chosen, str | Path) else chosen


Certificate = Annotated[
    CertificateOptions, BeforeValidator(_file_alone, json_schema_input_type=CertificateOptions | str)
]
