"""What sampling costs a request that is not sampled: router/learning/shadows.py."""

import time
from pathlib import Path

from classifier.base import Prompt, Score
from router.base import Decision, Request, Tier
from router.gateway import open_gateway
from tests.router.conftest import config_of

REQUEST = Request("r", "", "t", "/x", "auto", None, Prompt(()), False, False, {}, False, 0.0, 1.0)  # noqa: FBT003 - a request has that many fields
BY_SCORE = Decision(Tier.MINI, "score", Score(0.25, "s@1"), 0.5, "p@1")


async def test_where_nothing_is_sampled_nothing_is_there_to_be_asked(tmp_path: Path) -> None:
    async with open_gateway(config_of(tmp_path)) as gateway:
        assert gateway.pipeline.shadows is None
        assert type(gateway.pipeline.policy).__name__ == "Threshold"


async def test_a_draw_costs_less_than_three_microseconds(tmp_path: Path) -> None:
    async with open_gateway(config_of(tmp_path, learning={"shadow": 1e-9, "shadow_large": 1e-9})) as gateway:
        shadows = gateway.pipeline.shadows
        assert shadows is not None
        best = float("inf")
        for _ in range(30):
            begin = time.perf_counter()
            for _ in range(1_000):
                shadows.draw(REQUEST, BY_SCORE)
            best = min(best, time.perf_counter() - begin)
    assert best / 1_000 < 3e-6
