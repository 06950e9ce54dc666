"""A ledger of traffic of which all is known: what both models take for each request, and how well they answer."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from router.base import Tier
from router.ledger.replays import LoggedRequest, iter_logged
from tests.router.logged import Logged, price_of, write_ledger

THRESHOLD = 0.5
POLICY = "threshold@0.5/large"


@dataclass(frozen=True)
class Known:
    """One request, and what the other model would have made of it.

    Attributes:
        tokens: of both, in and out.
        worth: of both replies, 0.0 or 1.0.
    """

    logged: Logged
    tokens: dict[Tier, tuple[int, int]]
    worth: dict[Tier, float]

    def cost(self, tier: Tier) -> int:
        """Return nano-USD of an answer."""
        return price_of(tier, self.tokens[tier])


def known_traffic(count: int, *, seed: int = 1, share: float = 0.25) -> list[Known]:
    """Return requests that a threshold has routed, of which some were sent to the other tier, too."""
    rng = random.Random(seed)
    return [_known(rng, number, share) for number in range(count)]


def _known(rng: random.Random, number: int, share: float) -> Known:
    score, prompt = rng.random(), int(rng.lognormvariate(6, 0.7))
    mini = int(rng.lognormvariate(5, 0.5))
    tokens = {Tier.MINI: (prompt, mini), Tier.LARGE: (prompt, int(mini * rng.lognormvariate(-0.4, 0.5)) + 1)}
    worth = {Tier.LARGE: 1.0, Tier.MINI: float(rng.random() > 0.5 * score)}
    tier = Tier.LARGE if score >= THRESHOLD else Tier.MINI
    is_drawn = rng.random() < share
    logged = Logged(
        number,
        at=number * 30.0,
        tier=tier,
        tokens=tokens[tier],
        score=score,
        user=f"{rng.randrange(16**6):06x}{'0' * 10}",
        sampled=share,
        shadow=tokens[tier.other] if is_drawn else None,
        labels=(worth[Tier.LARGE], worth[Tier.MINI]) if is_drawn else None,
        threshold=THRESHOLD,
        policy=POLICY,
        config="c1",
        first_byte=(0.9 if tier is Tier.LARGE else 0.3) + 0.0001 * prompt,
    )
    return Known(logged, tokens, worth)


@pytest.fixture(scope="session")
def traffic() -> list[Known]:
    """Return some thousands of requests."""
    return known_traffic(2_600)


@pytest.fixture(scope="session")
def ledger(traffic: list[Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ledger that holds them."""
    return write_ledger(tmp_path_factory.mktemp("replaying") / "ledger.db", [known.logged for known in traffic])


@pytest.fixture(scope="session")
def log(ledger: Path) -> list[LoggedRequest]:
    """Return what is read of it."""
    return list(iter_logged(ledger))


@pytest.fixture
def logged_as(tmp_path: Path) -> Callable[..., LoggedRequest]:
    """Return what makes one request and reads it back from a ledger of its own."""

    def write_and_read(**changes: object) -> LoggedRequest:
        one = Logged(0, at=0.0, tier=Tier.MINI, tokens=(100, 50), score=0.25, config="c1", policy=POLICY)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        write_ledger(path, [replace(one, **changes)])  # type: ignore[arg-type]  # fields of Logged, by name
        (found,) = iter_logged(path)
        return found

    return write_and_read
