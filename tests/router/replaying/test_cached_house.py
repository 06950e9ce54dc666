"""A cache that was really run, beside what the log of another gateway says of it; router/replaying/recaching.py.

The same requests are sent to gateways with different caches. Whom each of them answered from its cache must be known
from the log of any other.
"""

import asyncio
import random
from pathlib import Path

import pytest

import cache.options
from backends.base import ConnectFailed
from router.ledger.replays import LoggedRequest, iter_logged
from router.replaying.columns import Reward
from router.replaying.recaching import Pair, Recacher
from router.replaying.report import replayed
from router.replaying.targets import Keeping, NotReplayable, Target
from router.replaying.worth import Refused
from router.statistics.estimates import Estimate
from tests.router.conftest import House, OpenHouse, chat, config_of
from tests.router.scripted import COMPLETION

CHAT = "/v1/chat/completions"
SHORT, LONG, PAUSE = 0.6, 100.0, 0.7  # seconds
CUT_SHORT = COMPLETION.replace(b'"stop"', b'"length"')


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep replies in the process: a server of their own would only take longer to start."""
    monkeypatch.setattr(cache.options, "find_binary", lambda: None)


async def ask(house: House, text: str, **more: object) -> None:
    answer = await house.client.post(CHAT, json=chat(text, **{"temperature": 0, **more}))
    assert answer.status_code == 200


async def send(house: House, *, seed: int = 3) -> None:
    """Send questions some of which come again: at once, beside each other, after a while, and some not to be kept."""
    rng = random.Random(seed)
    house.large.failures.append(ConnectFailed("refused"))
    for text in ("a makeshift", "a makeshift", "drawn", "drawn"):
        await ask(house, text, temperature=int(text == "drawn"))
    house.mini.completion = CUT_SHORT
    for _ in range(2):
        await ask(house, "cut short", model="mini")
    house.mini.completion = COMPLETION
    for pause in (PAUSE, 0.0):
        for _ in range(14):
            model, stream = rng.choice(["auto", "mini"]), rng.random() < 0.5
            await ask(house, f"question {rng.randrange(3)}", model=model, stream=stream)
        house.mini.begins_after = 0.02
        await asyncio.gather(*[ask(house, "at once", model="mini") for _ in range(4)])
        house.mini.begins_after = 0.0
        await asyncio.sleep(pause)


async def logged_with(open_house: OpenHouse, folder: Path, name: str, ttl: float) -> list[LoggedRequest]:
    """Return the log of a gateway with this cache; 0.0 is none."""
    path = folder / f"{name}.db"
    kept = {"enabled": True, "ttl": ttl} if ttl else {"enabled": False}
    ledger, policy = {"path": str(path), "reply_keys": not ttl}, {"use": "explicit", "tier": "large"}
    async with open_house(cache=kept, ledger=ledger, policy=policy) as house:
        await send(house)
    return list(iter_logged(path))


def pairs_of(log: list[LoggedRequest], was: float, asked: float) -> tuple[Recacher, list[Pair]]:
    recacher = Recacher(Keeping(was), Keeping(asked))
    pairs = list(recacher.pairs(log, since=0.0))
    recacher.refuse()
    return recacher, pairs


async def test_whom_another_cache_answers_and_what_it_saves_is_known_from_each_gateways_log(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    logs = {ttl: await logged_with(open_house, tmp_path, f"cache-{ttl}", ttl) for ttl in (0.0, SHORT, LONG)}
    hits = {ttl: [each.cache == "exact" for each in log] for ttl, log in logs.items()}
    paid = {ttl: sum(each.spent or 0 for each in log) for ttl, log in logs.items()}
    assert 0 == sum(hits[0.0]) < sum(hits[SHORT]) < sum(hits[LONG])
    for was, log in logs.items():
        assert sum(bool(each.reply_key) for each in log) == len(log) - 2
        for asked, really in hits.items():
            recacher, pairs = pairs_of(log, was, asked)
            assert [pair.is_hit for pair in pairs] == really, (was, asked)
            assert (recacher.differing, recacher.strangers) == (0, 0)
            assert recacher.again == sum(hits[was])
            assert_paid(log, tmp_path, (was, asked), paid)


def assert_paid(log: list[LoggedRequest], folder: Path, ttls: tuple[float, float], paid: dict[float, int]) -> None:
    """Check what a report says of the money and of the hits."""
    was, asked = ttls
    keeping = {"was": Keeping(was), "keeps": Keeping(asked)}
    target = Target(config_of(folder), decides=False, reprices=False, says="cache", **keeping)
    found = replayed(log, target, reward=Reward.LABELS)
    assert isinstance(found.cost, Estimate)
    assert (found.was, found.cost.low, found.cost.value, found.cost.high) == (paid[was], *[paid[asked]] * 3)
    assert found.cache is not None
    assert isinstance(found.cache.share, Refused)
    assert "needed for an interval" in "\n".join(found.words())


async def test_without_reply_keys_a_cache_is_not_replayed(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house() as house:
        await ask(house, "hello")
    with pytest.raises(NotReplayable, match=r"no reply key was recorded.* set ledger\.reply_keys for a while"):
        pairs_of(list(iter_logged(tmp_path / "ledger.db")), 0.0, LONG)
