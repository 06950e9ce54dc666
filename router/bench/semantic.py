"""The semantic cache -> how often it is wrong, how often it hits, and what a look-up costs.

Wrong and right are measured on pairs that no threshold was chosen on, and on questions to the desk, of which each has
one true answer and none was used for anything here. Needs no server: entries lie in this process, as in a gateway.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from backends.engines.desk.questions import Difficulty, Question, unseen
from cache.base import KeptReply
from cache.memory import MemoryStore
from cache.semantic.options import SemanticOptions
from cache.semantic.probes import fault_of
from cache.semantic.semantic import Semantic, open_semantic
from classifier.meaning.bounds import CONFIDENCE, measure
from classifier.meaning.choosing import DIFFERENT, SAME, Compared, compare, similarities, thresholds
from classifier.meaning.pairs import pairs
from classifier.meaning.reader import StaticReader
from classifier.meaning.vectors import load
from router.bench.goals import at_least, at_most
from router.bench.routing import Report

FALSE_HITS: Final = 0.001
"""The bound of the default."""

DESK_QUESTIONS: Final = 1_400
TENANTS: Final = 200
_FULL: Final = 4_000  # entries of one partition
_LOOKED_UP: Final = 400
_MICRO: Final = 1e6
_SHOWN: Final = 8

Say = Callable[[str], None]


def measure_semantic(*, seed: int, say: Say) -> Report:
    """Return goals and figures; takes some seconds.

    Raises:
        WeightsError: the vectors that ship cannot be used.
    """
    vocabulary = load()
    reader = StaticReader(vocabulary)
    least = vocabulary.threshold(FALSE_HITS)
    say("pairs that were held out")
    compared = compare(reader, pairs("measuring", different=DIFFERENT, same=SAME, seed=seed))
    held_out = measure(similarities(compared, same=False), similarities(compared, same=True), threshold=least)
    say("the threshold, chosen again")
    chosen = dict(thresholds(reader))
    say("questions to the desk")
    desk = asyncio.run(_desk(reader, least, seed))
    say("partitions and CPU")
    crossed = asyncio.run(_crossed(reader, least))
    fault = asyncio.run(fault_of(reader, threshold=least))
    read, found = asyncio.run(_cost(reader, least))
    goals = (
        at_most("false_hits_held_out_upper_bound", held_out.upper, FALSE_HITS),
        at_least("pairs_of_different_meaning", held_out.different, 3_000),
        at_least("hits_on_held_out_paraphrases", held_out.hits, 0.5),
        at_most("wrong_hits_on_desk_questions", desk["wrong"], 0),
        at_least("hits_on_desk_questions", desk["hits"] / DESK_QUESTIONS, 0.05),
        at_most("partitions_crossed", crossed, 0),
        at_most("read_cpu_us", read, 200.0),
        at_most("look_up_cpu_us_4000_entries", found, 1_000.0),
        at_most("threshold_chosen_again", chosen[FALSE_HITS], least + _ROUNDED),
        at_most("probes_failed", float(bool(fault)), 0),
    )
    return Report(goals, {"threshold": least, "confidence": CONFIDENCE, **_details(compared, least), "desk": desk})


_ROUNDED: Final = 1e-3


def _details(compared: Sequence[Compared], least: float) -> dict[str, object]:
    """Return shares by language and way, and what came nearest of what asks for something else."""
    seen, hits = Counter[str](), Counter[str]()
    for each in compared:
        name = f"{each.pair.language} {each.pair.way}"
        seen[name] += 1
        hits[name] += each.similarity >= least
    other = sorted((each for each in compared if not each.pair.same), key=lambda each: -each.similarity)
    return {
        "hits_by_way": {name: hits[name] / count for name, count in sorted(seen.items())},
        "pairs_by_way": dict(sorted(seen.items())),
        "nearest_of_different": [
            [round(each.similarity, 3), each.pair.one, each.pair.other] for each in other[:_SHOWN]
        ],
    }


def _opened(reader: StaticReader, least: float, **more: object) -> Semantic:
    options = SemanticOptions.model_validate({"enabled": True, **more})
    return open_semantic(
        options, MemoryStore(64 << 20), reader, secret=b"bench", threshold=least, max_reply_bytes=1 << 20
    )


def _reply(text: str) -> KeptReply:
    return KeptReply(text.encode(), "application/json", "mini", "desk-mini", None, None, None)


async def _desk(reader: StaticReader, least: float, seed: int) -> dict[str, int]:
    """Return how many of the desk's questions got the reply to another one, and how many of those a wrong one."""
    semantic, partition = _opened(reader, least), bytes(32)
    found = Counter({"asked": 0, "hits": 0, "wrong": 0})
    for question in _asked(seed):
        look = await semantic.look(partition, question.text)
        found["asked"] += 1
        if look is None:
            continue
        if look.found is None:
            semantic.keep(look, _reply(question.answer))
        else:
            found["hits"] += 1
            found["wrong"] += not question.is_answered_by(look.found.reply.body.decode())
    await semantic.aclose()
    return dict(found)


def _asked(seed: int) -> list[Question]:
    both = [unseen(f"semantic {seed}", each, DESK_QUESTIONS // 2) for each in Difficulty]
    return [question for two in zip(*both, strict=True) for question in two]


async def _crossed(reader: StaticReader, least: float) -> int:
    """Return how many tenants were given another one's reply to the very same question."""
    semantic = _opened(reader, least)
    crossed = 0
    question = "how do I reset my password?"
    for tenant in range(TENANTS):
        partition = tenant.to_bytes(32, "little")
        look = await semantic.look(partition, question)
        assert look is not None  # noqa: S101 - the question is one that can be read
        crossed += look.found is not None
        semantic.keep(look, _reply(str(tenant)))
    for tenant in range(TENANTS):
        look = await semantic.look(tenant.to_bytes(32, "little"), f"Hello, {question}")
        crossed += look is None or look.found is None or look.found.reply.body != str(tenant).encode()
    await semantic.aclose()
    return crossed


async def _cost(reader: StaticReader, least: float) -> tuple[float, float]:
    """Return microseconds of CPU to read a question, and to look one up among thousands of the same facts."""
    words = [pair.one for pair in pairs("measuring", different=_LOOKED_UP, same=0, seed=1)]
    began = time.process_time()
    for text in words:
        reader.read_now(text)
    read = (time.process_time() - began) / len(words)
    semantic, partition = _opened(reader, least, max_entries=_FULL), bytes(32)
    plain = [word for word in reader.plain_words() if len(word) > _LONG_WORD][: 2 * _FULL]
    texts = [f"{one} {other}" for one, other in pairwise(plain)][::2]
    for text in texts:
        look = await semantic.look(partition, text)
        if look is not None:
            semantic.keep(look, _reply(text))
    asked = texts[:: len(texts) // _LOOKED_UP]
    began = time.process_time()
    for text in asked:
        await semantic.look(partition, f"{text} garden")
    found = (time.process_time() - began) / len(asked)
    await semantic.aclose()
    return read * _MICRO, found * _MICRO


_LONG_WORD: Final = 6  # letters; shorter ones are often among those that must be equal
