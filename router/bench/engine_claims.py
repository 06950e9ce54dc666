"""What was measured of the engines -> what was claimed for them, each beside its reading.

The claims are those of the documents that the project began with. They name neither model nor machine, so a reading
beside one says what this machine gives, not that the claim is right or wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from backends.engines.trials.base import MIXTRAL, Prefixed, Served, Timed
from router.bench.engine_results import TORCH, Results

_NO_CARD = "not measurable here: no CUDA device"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Attributes:
        claimed: in its own figures.
        claimed_ratio: what these say as one number; how many times better.
        measured: in words, or why there is nothing.
        ratio: of what was measured, as `claimed_ratio` is meant; None where there is none.
    """

    claimed: str
    claimed_ratio: float
    measured: str
    ratio: float | None


def claims_of(results: Results) -> tuple[Claim, ...]:
    """Return each claim beside what was measured on the same device as the results."""
    served = _served(results)
    return (
        _utilisation(served, results),
        _eight_bits(results),
        _streaming(served, results),
        _end_to_end(results),
        _requests(served, results),
    )


def _utilisation(served: Served, results: Results) -> Claim:
    alone, batch = served.busy
    return Claim(
        "dynamic batching: utilisation from 45 to 78 %",
        78 / 45,
        f"{_where(results)}: {alone:.1%} to {batch:.1%} of the rate at which it multiplies large matrices, one answer "
        f"at a time to 16 at once ({served.kind}); {_missing(results, 'a GPU by its own counter')}",
        batch / alone if alone else None,
    )


def _eight_bits(results: Results) -> Claim:
    if results.large is not None:
        ratio = results.large.packed.answers_per_second[1] / results.large.served.answers_per_second[1]
        measured = f"{ratio:.2f}x: 8 bits beside {results.large.model.shape.dtype}, 16 answers at once"
        return Claim("INT8: 1.63x throughput", 1.63, measured, ratio)
    told = [
        f"{each.speed.ratio:.2f}x, by CPU {each.speed.cpu_ratio:.2f}x ({each.engine}, {each.better} and {each.plain})"
        for each in results.shrinking.speeds
    ]
    best = max((each.speed.ratio for each in results.shrinking.speeds), default=None)
    return Claim("INT8: 1.63x throughput", 1.63, f"{_where(results)}: {', '.join(told)}; {_missing(results)}", best)


def _streaming(served: Served, results: Results) -> Claim:
    first, whole = _middle(served.first.better), _middle(served.first.plain)
    return Claim(
        "streaming: first token after 0.8 s and not 2.3 s",
        2.3 / 0.8,
        f"{_where(results)}: {first:.3f} s and not {whole:.3f} s ({served.kind}, {served.prompt_tokens} tokens in, "
        f"{served.answer_tokens} out)",
        served.first.ratio,
    )


def _end_to_end(results: Results) -> Claim:
    prefixed = _prefixed(results)
    before, after = _middle(prefixed.whole.plain), _middle(prefixed.whole.better)
    return Claim(
        "fusion, attention and prefix cache: 310 ms end to end and not 820 ms",
        820 / 310,
        f"the prefix cache alone, {_where(results)}: {after:.3f} s and not {before:.3f} s ({prefixed.kind}, "
        f"{prefixed.tokens} tokens of prefix from redis, whole answer); no kernels are fused here, and attention is "
        "the same with both, so what those give is not measurable here",
        prefixed.whole.ratio,
    )


def _requests(served: Served, results: Results) -> Claim:
    alone, batch = served.answers_per_second
    on_card = "" if results.device else f"{_NO_CARD}; "
    return Claim(
        "200 to 600 requests a second a card",
        600 / 200,
        f"{on_card}{_where(results)}: {alone:.1f} to {batch:.1f} requests a second, one at a time to 16 at once "
        f"({served.kind}, {served.answer_tokens} tokens out)",
        served.batching.ratio,
    )


def _served(results: Results) -> Served:
    """Return the mixture that is served, the larger one where there is one."""
    if results.large is not None:
        return results.large.served
    return next(each for each in results.served if each.engine == TORCH and each.kind == MIXTRAL)


def _prefixed(results: Results) -> Prefixed:
    among: Sequence[Prefixed] = results.large.prefixes if results.large else results.prefixes
    return next(each for each in among if each.engine == TORCH and each.kind == MIXTRAL)


def _middle(readings: Sequence[Timed]) -> float:
    return median(reading.wall for reading in readings)


def _where(results: Results) -> str:
    return "one thread of this CPU" if results.device is None else results.device.name


def _missing(results: Results, what: str = "a GPU") -> str:
    return f"{what} is {_NO_CARD}" if results.device is None else f"{what} was not asked"
