"""What is learnt from traffic: how replies are looked at, experiments, labels from shadow calls."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from router.base import Tier
from router.config.kinds import BackendOptions
from router.config.options import Number, Options, Seconds, Share


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
    share: Annotated[float, Field(ge=0, le=1), Number] = 1.0
    max_per_minute: Annotated[int, Field(ge=1, le=10_000), Number] = 30
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
    cpu_share: Annotated[float, Field(gt=0, le=1), Number] = 0.01
    waiting: Annotated[int, Field(ge=1, le=65_536), Number] = 256
    judge: JudgeOptions | None = None
    resolution_hours: Annotated[float, Field(gt=0, le=8_760), Number] = 72.0
    complex_from: Annotated[float, Field(ge=0, le=1), Number] = 0.5


class ExperimentsOptions(Options):
    """Where experiments stand that `./tandem experiment start` has begun.

    Attributes:
        folder: several processes may share it; None: beside the ledger, with -experiments in its name.
    """

    folder: Path | None = None

    def beside(self, ledger: Path) -> Path:
        """Return the folder's path."""
        return self.folder or ledger.with_name(f"{ledger.stem}-experiments")


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
    seed: Annotated[int, Number] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256), Number] = 4
    max_per_minute: Annotated[int, Field(ge=1, le=100_000), Number] = 60
    keep_text: bool = True
    retention_days: Annotated[float, Field(gt=0, le=3_650), Number] = 30.0
    registry: Path | None = None
    cost_weight: Annotated[float, Field(gt=0, le=1), Number] = 0.3

    @property
    def shares(self) -> dict[Tier, float]:
        """Return the probabilities by the tier that was decided on."""
        return {Tier.MINI: self.shadow, Tier.LARGE: self.shadow_large}
