"""Decisions of a whole gateway, made again from its ledger; router/replaying/decisions.py is the unit under test."""

from pathlib import Path

from router.ledger.replays import iter_logged
from router.replaying.checking import checked
from router.replaying.decisions import Decider
from tests.router.conftest import OpenHouse, chat, config_of

SIMPLE, COMPLEX = "hello", "Compare both, and explain which one is cheaper, and why? How much is it until 2027?"


async def test_what_a_gateway_decided_comes_out_equal_to_the_last_bit(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house() as house:
        for model in ("auto", "large", "mini", "auto-economy", "auto-quality"):
            for text in (SIMPLE, COMPLEX):
                answer = await house.client.post("/v1/chat/completions", json=chat(text, model=model))
                assert answer.status_code == 200
    check = checked(iter_logged(tmp_path / "ledger.db"), Decider(config_of(tmp_path), recalls=True))
    assert (check.equal.total(), check.unequal.total(), check.undecidable.total()) == (10, 0, 0)
    assert check.equal["asked"] == 4
