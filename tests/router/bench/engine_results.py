"""Results of the engines' bench that nobody measured, each goal met; and trials that run in this process."""

import asyncio
import importlib
from typing import Any, get_type_hints

import msgspec

from backends.engines.trials.base import (
    Compared,
    Device,
    Drafted,
    Equality,
    Faster,
    Modes,
    Prefixed,
    Served,
    Shape,
    Shrinking,
    Shrunk,
    Timed,
    Written,
)
from router.bench.engine_results import Large, Results
from router.bench.engine_trials import Trials

SHAPE = Shape("mixtral", hidden=64, layers=2, feed_forward=64, heads=2, kv_heads=2)
WRITTEN = Written(SHAPE, folder="/m", draft="", gguf="", parameters=400, active=100)
DEVICE = Device("a card", memory=80 << 30, bandwidth=1000.0)


def compared(plain: list[float], better: list[float], work: float = 1.0) -> Compared:
    """Return rounds that took so many seconds, and half of them of the CPU."""
    return Compared(tuple(Timed(s, s / 2) for s in plain), tuple(Timed(s, s / 2) for s in better), work)


def served(kind: str = "mixtral", engine: str = "transformers", *, batch: float = 2.0, first: float = 0.1) -> Served:
    """Return 2 answers in 2 seconds beside 16 in `batch`, and a stream that begins after a share of a whole."""
    return Served(
        engine=engine,
        kind=kind,
        places=16,
        prompt_tokens=32,
        answer_tokens=64,
        batching=compared([2.0, 2.0, 2.0], [batch] * 3, work=8.0),
        first=compared([1.0] * 3, [first] * 3),
        equal=3,
        streams=3,
        busy=(0.1, 0.5),
    )


def prefixed(kind: str = "mixtral", engine: str = "transformers", **changes: Any) -> Prefixed:
    """Return a prefix that was found five times faster than computed."""
    whole: dict[str, Any] = {
        "engine": engine,
        "kind": kind,
        "tokens": 512,
        "prompts": 2,
        "found": 2,
        "first": compared([1.0, 1.0], [0.2, 0.2]),
        "whole": compared([2.0, 2.0], [1.0, 1.0]),
        "logit_difference": 1e-6,
        "other_tenant": 0,
        "answers": Equality(kind, "prefix from redis", answers=2, equal=2, used=1024),
    }
    return Prefixed(**{**whole, **changes})


def shrunk(kind: str, bits: int, size: float, *, perplexity: float = 1.001, after: int = 90) -> Shrunk:
    """Return a conversion of a model that answered 90 of 100 questions rightly."""
    return Shrunk("llama_cpp", kind, bits, size, perplexity, right_before=90, right_after=after, questions=100)


COSTS = (shrunk("q8_0", 8, 0.53), shrunk("int8", 8, 0.54), shrunk("q4_k", 4, 0.34, after=88), shrunk("q4_0", 4, 0.9))


def results(**changes: Any) -> Results:
    """Return what was measured on a CPU."""
    whole: dict[str, Any] = {
        "device": None,
        "models": (WRITTEN,),
        "modes": Modes(
            (Equality("mixtral", "batching", 4, 4, 9),),
            (Drafted("mixtral", 9, 5, pays=True, speed=compared([2.0], [1.0])),),
        ),
        "served": (served(), served("mixtral", "llama_cpp", batch=16.0, first=0.5)),
        "prefixes": (prefixed(), prefixed(engine="llama_cpp", logit_difference=None, answers=None)),
        "shrinking": Shrinking(COSTS, (Faster("llama_cpp", "float16", "q8_0", compared([3.0], [2.0])),)),
        "costs": {"serving": (2.0, 1.0)},
    }
    return Results(**{**whole, **changes})


def on_card(**changes: Any) -> Results:
    """Return what was measured on an accelerator."""
    large = Large(
        WRITTEN,
        served=served(batch=1.5),
        packed=served(batch=3.0),
        prefixes=(prefixed(tokens=2048, first=compared([0.1], [0.4])), prefixed(tokens=8192)),
    )
    return results(**{"device": DEVICE, "served": (), "large": large, **changes})


LESS: dict[str, dict[str, object]] = {
    "equality": {"answers": 2, "limit": 14},
    "prefix": {"prompts": 2, "answer_tokens": 4},
    "serving": {"rounds": 1, "places": 4, "answer_tokens": 8},
}


class InThisProcess(Trials):
    """Runs trials where nothing need be loaded anew, with less work; what goes in and out is JSON all the same.

    Attributes:
        ran: their names.
    """

    def __init__(self) -> None:
        super().__init__(on_gpu=False, say=lambda _: None)
        self.ran: list[str] = []

    async def run(self, name: str, gives: Any, **asked: object) -> Any:
        """Run a trial."""
        self.ran.append(name)
        measure = importlib.import_module(f"backends.engines.trials.{name}").measure
        kinds = get_type_hints(measure)
        sent = msgspec.json.decode(msgspec.json.encode({**asked, **LESS.get(name, {})}))
        given = {each: msgspec.convert(value, kinds[each]) for each, value in sent.items()}
        found = await asyncio.to_thread(measure, **given)
        return msgspec.json.decode(msgspec.json.encode(found), type=gives)
