"""Seed -> requests and the faults that lie over them; the same seed always gives the same plan."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.bench.faults.base import Asked, Leave, Leaving
from router.bench.faults.plays import PLAYS, Effect, effect_of

TENANTS: Final = ("acme", "rival")
FAULTY: Final = 0.5  # of the requests, at least one call fails
_LEAVES: Final = 0.12
_TWINS: Final = 0.12  # ask what an earlier one asked
_REMEMBERED: Final = 300  # requests, of which twins are made
_KEYED: Final = 0.06  # bear an idempotency key; half of them come twice
_SLOWLY: Final = 0.04
_RARE: Final = {"drip": 0.2, "huge-line": 0.2, "silent": 0.4, "hang": 0.5, "bytes": 0.3}
"""Plays that take long, or much; each with its weight beside 1.0."""

_IN_THE_REQUEST: Final = 0.25  # of those who hang up; from there to the next, before the answer
_BEFORE_THE_ANSWER: Final = 0.5
REPLICA_FAULTS: Final = ("refuse", "reset", "blackhole", "delay", "cut", "slow close")
_LONGEST_EVENT: Final = 0.5  # seconds
_EVENT_EACH: Final = 100  # requests


@dataclass(frozen=True, slots=True)
class Event:
    """A fault that is not of one request.

    Attributes:
        at: number of the request before which it begins.
        target: "large-2", "mini-2" (a replica, by its proxy), "large", "mini" (all of a tier) or "redis".
        fault: one of `router.bench.faults.proxy.Fault`, "pause" or "kill".
    """

    at: int
    target: str
    fault: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does."""

    seed: int
    asked: tuple[Asked, ...]
    events: tuple[Event, ...]


def mixed(seed: int, requests: int, *, has_redis: bool = True, has_keys: bool = True) -> Plan:
    """Return a plan with every fault in it, as far as so many requests have room for them.

    Args:
        has_redis: there is one that can fail.
        has_keys: some requests bear idempotency keys, and come twice.
    """
    rng = random.Random(f"faults/{seed}")
    asked = list[Asked]()
    hard = _in_turn(rng, [play for play in PLAYS if play not in _EASY])
    while len(asked) < requests:
        one = _one(rng, f"f{seed}-{len(asked)}", next(hard) if _by_chance(rng, FAULTY) else "")
        if asked and _by_chance(rng, _TWINS):
            one = _twin(rng, asked, one)
        elif has_keys and _by_chance(rng, _KEYED):
            one = replace(one, key=f"key-{one.id}", leave=None)
            if _by_chance(rng, 0.5):
                asked.append(replace(one, id=f"{one.id}-first"))
        asked.append(one)
    return Plan(seed, tuple(asked[:requests]), tuple(_events(rng, requests, has_redis=has_redis)))


def plain(seed: int, requests: int, *, plays: Sequence[str] = ("ok", "long"), leaves: float = _LEAVES) -> Plan:
    """Return a plan whose backends do nothing wrong: the fault comes from elsewhere."""
    rng = random.Random(f"plain/{seed}")
    asked = []
    for number in range(requests):
        one = _one(rng, f"p{seed}-{number}", "", leaves=leaves)
        play = (rng.choice(plays),)
        asked.append(replace(one, large=play, mini=play))
    return Plan(seed, tuple(asked), ())


_EASY: Final = frozenset(("ok", "long", "work"))


def _one(rng: random.Random, name: str, hard: str, *, leaves: float = _LEAVES) -> Asked:
    """Return a request; `hard` is what its first call meets, "" for nothing."""
    first = hard or rng.choice(("ok", "ok", "long"))
    then = rng.choice(("ok", first, "503", "reset")) if hard else "ok"
    play = tuple(dict.fromkeys((first, then)))
    other = rng.choice((("ok",), play))
    large_first = _by_chance(rng, 0.5)
    stream = _by_chance(rng, 0.6)
    leave = _leave(rng, stream=stream) if _by_chance(rng, leaves) else None
    return Asked(
        id=name,
        nonce=name,
        tenant=rng.choice(TENANTS),
        model=rng.choice(("auto", "auto", "large", "mini")),
        stream=stream,
        large=play if large_first else other,
        mini=other if large_first else play,
        wants_usage=_by_chance(rng, 0.5),
        leave=leave,
        slowly=leave is None and _by_chance(rng, _SLOWLY),
    )


def _by_chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _twin(rng: random.Random, asked: list[Asked], one: Asked) -> Asked:
    """Return a request that asks what an earlier one asked, of the same tenant or of the other.

    Mostly one that was answered well, since nothing else is kept; now and then the one just before, which is still
    being answered.
    """
    lately = asked[-_REMEMBERED:]
    good = [each for each in lately if set(each.plays) <= _EASY and each.leave is None]
    earlier = asked[-1] if _by_chance(rng, 0.2) or not good else rng.choice(good if _by_chance(rng, 0.8) else lately)
    tenant = earlier.tenant if _by_chance(rng, 0.5) else one.tenant
    return replace(earlier, id=one.id, tenant=tenant, key="", leave=one.leave, slowly=False)


def _leave(rng: random.Random, *, stream: bool) -> Leave:
    """Return a moment to hang up: within the request, before the answer, within it."""
    by = rng.choice(tuple(Leaving))
    where = rng.random()
    if where < _IN_THE_REQUEST:
        return Leave(by, sent=rng.randrange(0, 400))
    if where < _BEFORE_THE_ANSWER or not stream:
        return Leave(by, after=rng.choice((0.0, 0.001, 0.02, 0.1)))
    return Leave(by, got=rng.randrange(1, 6_000), after=rng.choice((0.0, 0.0, 0.01)))


def _in_turn(rng: random.Random, plays: list[str]) -> "_Turns":
    return _Turns(rng, plays)


class _Turns:
    """Gives each play once before any comes again; what takes long is now and then passed over."""

    def __init__(self, rng: random.Random, plays: list[str]) -> None:
        self._rng, self._plays = rng, plays
        self._left = list[str]()
        self._rounds = 0

    def __next__(self) -> str:
        while not self._left:
            first_round = not self._rounds
            self._rounds += 1
            self._left = [play for play in self._plays if first_round or _by_chance(self._rng, _RARE.get(play, 1.0))]
            self._rng.shuffle(self._left)
        return self._left.pop()


def _events(rng: random.Random, requests: int, *, has_redis: bool) -> list[Event]:
    """Return events at chance places, each kind in its turn, and those of Redis behind all others."""
    kinds = [
        *((f"{tier}-2", fault) for tier in ("large", "mini") for fault in REPLICA_FAULTS),
        ("mini", "pause"),
        ("large", "pause"),
    ]
    if has_redis:
        kinds += [("redis", "pause"), ("redis", "delay"), ("redis", "cut"), ("redis", "refuse")]
    rng.shuffle(kinds)
    count = max(1, requests // _EVENT_EACH)
    places = sorted(rng.randrange(requests) for _ in range(count))
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    chosen.sort(key=lambda kind: kind[0] == "redis")  # after each the cache is away for a while: first let it be there
    return [
        Event(at, target, fault, seconds=round(rng.uniform(0.1, _LONGEST_EVENT), 3))
        for at, (target, fault) in zip(places, chosen, strict=True)
    ]


def is_faulty(asked: Asked) -> bool:
    """Tell whether some call that the request may make is not answered well."""
    return any(effect_of(play, stream=asked.stream) is not Effect.GOOD for play in asked.plays)
