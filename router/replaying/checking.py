"""Requests of the ledger -> how many of their decisions come out equal, to the last bit, and which do not.

Told apart from unequal ones are decisions of another policy, which another version of it may have made, and those that
the record does not tell enough of. Nothing is left out: the counts add up to all that ended.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from router.base import Decision
from router.ledger.replays import LoggedRequest
from router.replaying.arms import Arms
from router.replaying.decisions import NOT_DECIDED, Decider, Undecidable

SHOWN: Final = 5  # unequal requests that are named


@dataclass(slots=True)
class Check:
    """What came out.

    Attributes:
        equal, unequal: decisions by their reason.
        others: decisions of other policies, by their version; not compared.
        undecidable: by why.
        examples: ids of unequal ones, with what differs.
    """

    equal: Counter[str] = field(default_factory=Counter)
    unequal: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    undecidable: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "equal": dict(self.equal),
            "unequal": dict(self.unequal),
            "other_policies": dict(self.others),
            "undecidable": dict(self.undecidable),
            "examples": self.examples,
        }

    def words(self) -> list[str]:
        """Return it in lines to be read."""
        said = [
            f"{self.equal.total():,} decisions are equal to the last bit{_listed(self.equal)}",
            f"{self.unequal.total():,} are not{_listed(self.unequal)}",
        ]
        said += [f"{count:,} were made by another policy: {version}" for version, count in self.others.most_common()]
        said += [f"{count:,} cannot be made again: {why}" for why, count in self.undecidable.most_common()]
        return [*said, *self.examples]


def checked(logged: Iterable[LoggedRequest], decider: Decider, arms: Arms | None = None) -> Check:
    """Return how the decisions compare.

    Args:
        decider: of the configuration that the gateway has, one that recalls what had moved decisions.
        arms: of the experiments that ran beside it; None where none did.

    Raises:
        PriceBookError: the price book cannot be used.
    """
    check = Check()
    for each in logged:
        found, propensity = _decided(each, decider, arms)
        if isinstance(found, Undecidable):
            check.undecidable[found.why] += 1
            continue
        differing = _differing(each, found, propensity)
        if not differing:
            check.equal[each.reason] += 1
        elif found.policy != each.policy:
            check.others[each.policy] += 1
        else:
            check.unequal[each.reason] += 1
            if len(check.examples) < SHOWN:
                check.examples.append(f"{each.id}: {'; '.join(differing)}")
    return check


def _decided(logged: LoggedRequest, decider: Decider, arms: Arms | None) -> tuple[Decision | Undecidable, float | None]:
    """Return the decision, and the probability with which its arm was assigned; the logged one where it was in none."""
    if not logged.experiment or arms is None or logged.reason in NOT_DECIDED:
        return decider.decide(logged), logged.propensity
    arm = arms.of(logged)
    if isinstance(arm, Undecidable):
        return arm, None
    return arm.decider.decide(logged), arm.propensity(logged)


def _differing(logged: LoggedRequest, found: Decision, propensity: float | None) -> list[str]:
    """Return what differs, each as its name, what was logged, and what came out."""
    pairs: dict[str, tuple[object, object]] = {
        "tier": (logged.tier.value, found.tier.value),
        "reason": (logged.reason, found.reason),
        "threshold": (_bits(logged.threshold), _bits(found.threshold)),
        "verify": (_bits(logged.verify), _bits(found.verify)),
        "policy": (logged.policy, found.policy),
        "stay_cost": (logged.stay_cost, found.stay_cost),
        "switch_cost": (logged.switch_cost, found.switch_cost),
        "propensity": (_bits(logged.propensity), _bits(propensity)),
    }
    return [f"{name} was {was}, is {now}" for name, (was, now) in pairs.items() if was != now]


def _bits(number: float | None) -> str | None:
    """Return all bits of a number: two that are equal may differ in the sign of zero."""
    return None if number is None else float(number).hex()


def _listed(counts: Counter[str]) -> str:
    return ": " + ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) if counts else ""
