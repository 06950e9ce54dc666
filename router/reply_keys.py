"""Request and policy version -> the key of its kept reply.

Whatever could make another reply right is part of it: who scores and who answers, what the caller asks of quality, and
the arm of an experiment, whose arms would else answer for each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cache.keys import reply_key
from classifier.base import Classifier, Prompt
from router.base import Request, Tier
from router.cascade import Cascade
from router.certificate import Gate
from router.config.kinds import BackendOptions
from router.learning.champion import Champion


@dataclass(frozen=True, slots=True)
class KeyOf:
    """Request and policy version -> the key of its kept reply.

    Attributes:
        who: scores and answers; with other models or weights, what was kept before is not found any more.
        champion: scores, and may be exchanged; None where `who` says it.
        heeds_quality: the policy keeps promises; what was kept for one of them is never given for another.
    """

    secret: bytes
    who: str
    champion: Champion | None = None
    heeds_quality: bool = False

    def __call__(self, request: Request, policy: str) -> bytes:
        """Return the key; `policy` is "name@version"."""
        quality = f" quality={request.quality}" if self.heeds_quality and request.quality is not None else ""
        lean = f" lean={request.lean}" if request.lean else ""  # of an alias it could change
        to = request.assignment
        arm = f" arm={to.experiment}/{to.arm}" if to.experiment else ""
        fields = [(name, bytes(value)) for name, value in request.fields.items()]
        return reply_key(
            self.secret,
            tenant=request.tenant,
            path=request.path,
            fields=fields,
            policy=f"{policy}{quality}{lean}{arm} {'' if self.champion is None else self.champion.source}{self.who}",
            tier=request.wanted or "",
        )


def who_answers(
    options: Mapping[Tier, BackendOptions],
    classifier: Classifier | None,
    cascade: Cascade | None = None,
    gate: Gate | None = None,
) -> str:
    """Return what scores, what verifies, what was certified and what answers, as one text."""
    scorer = "" if classifier is None else classifier.score(Prompt(())).source
    verifier = () if cascade is None else (cascade.verifier.source,)
    certified = () if gate is None else (gate.version,)
    return " ".join([scorer, *verifier, *certified, *(f"{tier}={each.model}" for tier, each in options.items())])
