"""What was measured of the engines -> figures beside their goals.

Where several models or ways were measured, the worst of them is the figure: a goal is met by all or not at all.
"""

from collections.abc import Iterable

from backends.engines.trials.base import Shrunk
from router.bench.engine_results import TORCH, Results
from router.bench.goals import Goal, at_least, at_most, stated

_SERVED_IN = {8: ("q8_0", "int8"), 4: ("q4_k", "int4")}
"""Kinds that are recommended; what others cost stands in the details."""


def goals_of(results: Results) -> tuple[Goal, ...]:
    """Return the goals; those of an accelerator have `gpu_` in front."""
    return _on_gpu(results) if results.device is not None else _on_cpu(results)


def _on_cpu(results: Results) -> tuple[Goal, ...]:
    served = [each for each in results.served if each.engine == TORCH]
    prefixes = [each for each in results.prefixes if each.engine == TORCH]
    return (
        *_exact(results, ""),
        at_least("batch16_over_1", min(each.batching.ratio for each in served), 5.0),
        at_least("prefix_redis_over_cold", min(each.first.ratio for each in prefixes), 4.0),
        *_of_bits(results.shrinking.costs, ""),
        at_most("ttft_over_whole", max(each.first_share for each in served), 0.35),
    )


def _on_gpu(results: Results) -> tuple[Goal, ...]:
    goals = [*_exact(results, "gpu_"), *_of_bits(results.shrinking.costs, "gpu_")]
    if results.large is not None:
        shortest = min(results.large.prefixes, key=lambda each: each.tokens)
        goals += [
            at_least("gpu_batch16_over_1", results.large.served.batching.ratio, 8.0),
            stated("gpu_prefix_redis_over_cold", shortest.first.ratio),
            at_most("gpu_ttft_over_whole", results.large.served.first_share, 0.35),
        ]
    return tuple(goals)


def _exact(results: Results, front: str) -> list[Goal]:
    """Return what no machine's speed has a part in; a mode that was not tried counts as unequal."""
    cells = results.cells
    differences = [each.logit_difference for each in results.prefixes if each.logit_difference is not None]
    return [
        at_least(f"{front}equal_tokens", sum(cell.equal for cell in cells) / sum(cell.answers for cell in cells), 1.0),
        at_most(f"{front}prefix_logit_diff", max(differences), 1e-5),
        at_most(f"{front}other_tenant_hits", float(sum(each.other_tenant for each in results.prefixes)), 0.0),
    ]


def _of_bits(costs: Iterable[Shrunk], front: str) -> list[Goal]:
    eight, four = ([each for each in costs if each.kind in _SERVED_IN[bits]] for bits in (8, 4))
    return [
        at_most(f"{front}q8_size", max(each.size for each in eight), 0.55),
        at_most(f"{front}q8_ppl", max(each.perplexity for each in eight), 1.01),
        at_most(f"{front}q8_right_lost", max(each.right_lost for each in eight), 0.01),
        at_most(f"{front}q4_size", max(each.size for each in four), 0.35),
        stated(f"{front}q4_ppl", max(each.perplexity for each in four)),
        stated(f"{front}q4_right_lost", max(each.right_lost for each in four)),
    ]
