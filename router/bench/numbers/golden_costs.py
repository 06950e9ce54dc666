"""Public reports of wrong costs -> how many of them Tandem gets right, to the nano-USD.

Each answer is read twice, whole and as a stream that is cut in odd places, by what the gateway reads answers with, and
is priced by what the ledger prices them with. Nothing is drawn: the seed changes where streams are cut.
"""

import random
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import msgspec

from backends.base import Usage
from backends.sse import StreamReader, read_reply
from router.base import Price
from router.bench.goals import Goal, at_least, at_most
from router.bench.numbers.golden_cases import CASES, CONTRADICTION, NOT_TOLD, UNPRICED, Case
from router.ledger.money import NANO_PER_USD, breakdown, cost, pico_per_token

FEWEST: Final = 25
_CUTS: Final = 7

Found = tuple[Usage | None, bool]
"""What an answer took, and whether what it told contradicts itself."""


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return whether each case costs what it should, however it is read; a quick look is the whole look."""
    del quick
    draw = random.Random(seed)
    wrong = differing = uneven = 0
    furthest = 0.0
    for case in CASES:
        whole, streamed = _whole(case), _streamed(case, draw)
        differing += whole != streamed
        price = _priced(case)
        found = _outcome(whole, price)
        off = _off(found, case.usd)
        wrong += off > 1
        furthest = max(furthest, off)
        parts = None if whole[0] is None else breakdown(price, whole[0])
        uneven += (None if parts is None else sum(parts.values())) != (found if isinstance(found, int) else None)
    return [
        at_least("golden cost cases", len(CASES), FEWEST),
        at_most("golden cost cases that are wrong", wrong, 0),
        at_most("furthest golden cost from its report, nano-USD", furthest, 1),
        at_most("golden cost cases priced otherwise when streamed", differing, 0),
        at_most("golden cost cases whose buckets do not add up", uneven, 0),
    ]


def _off(found: int | str, usd: str) -> float:
    """Return by how many nano-USD a cost is wrong; endlessly where it is none, or should be none."""
    if isinstance(found, str) or usd in (CONTRADICTION, UNPRICED, NOT_TOLD):
        return 0.0 if found == usd else float("inf")
    return float(abs(found - Decimal(usd) * NANO_PER_USD))


def _outcome(read: Found, price: Price) -> int | str:
    usage, contradicts = read
    if contradicts:
        return CONTRADICTION
    if usage is None:
        return NOT_TOLD
    paid = cost(price, usage)
    return UNPRICED if paid is None else paid


def _whole(case: Case) -> Found:
    message = {"role": "assistant", "content": "x"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    told = read_reply(msgspec.json.encode(_body(case, [choice]) | _usage(case)))
    return told.usage, told.contradicts


def _streamed(case: Case, draw: random.Random) -> Found:
    """Return what a stream tells whose last event but one has the usage, cut into pieces anywhere."""
    said = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [_body(case, [said]), _body(case, [end]), _body(case, []) | _usage(case)]
    data = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    reader = StreamReader(strip_usage=True)
    edges = [0, *sorted(draw.randrange(len(data)) for _ in range(_CUTS)), len(data)]
    for start, stop in pairwise(edges):
        reader.feed(data[start:stop])
    return reader.usage, reader.contradicts


def _body(case: Case, choices: list[dict[str, Any]]) -> dict[str, Any]:
    tier = {} if case.service_tier is None else {"service_tier": case.service_tier}
    return {"id": "c", "object": "chat.completion", "model": case.model, "choices": choices, **tier}


def _usage(case: Case) -> dict[str, Any]:
    return {} if case.usage is None else {"usage": case.usage}


def _priced(case: Case) -> Price:
    variants = [_price(prices, tier, above) for (tier, above), prices in case.variants.items()]
    return _price(case.prices, "", 0, tuple(variants))


def _price(prices: Mapping[str, str], tier: str, above: int, variants: tuple[Price, ...] = ()) -> Price:
    rates = {name: pico_per_token(text) for name, text in prices.items()}
    rates.setdefault("cached_input", rates["fresh_input"])
    return Price("m", "v", service_tier=tier, above_input=above, variants=variants, **rates)
