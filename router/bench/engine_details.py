"""What was measured of the engines -> plain JSON values, each reading in a unit, for whoever wants more than goals."""

from statistics import median
from typing import Any

from msgspec import to_builtins

from backends.engines.trials.base import Compared, Device, Prefixed, Served
from router.bench.engine_results import Large, Results


def details_of(results: Results) -> dict[str, Any]:
    """Return everything that stands behind the goals of one device."""
    return {
        "models": [to_builtins(each.shape) | {"parameters": each.parameters} for each in results.models],
        "equal_tokens": to_builtins(results.cells),
        "drafting": [
            {"model": each.model, "drafted": each.drafted, "accepted": each.accepted, "pays": each.pays}
            | _ratio(each.speed)
            for each in results.modes.drafts
        ],
        "serving": [_serving(each) for each in results.served],
        "prefixes": [_prefix(each) for each in results.prefixes],
        "quantised": [to_builtins(each) | {"right_lost": each.right_lost} for each in results.shrinking.costs],
        "quantised_speed": [
            {"engine": each.engine, "plain": each.plain, "better": each.better} | _ratio(each.speed)
            for each in results.shrinking.speeds
        ],
        "trials": {name: {"wall_seconds": wall, "cpu_seconds": cpu} for name, (wall, cpu) in results.costs.items()},
        **({} if results.large is None or results.device is None else {"large": _large(results.large, results.device)}),
    }


def _ratio(compared: Compared) -> dict[str, Any]:
    """Return how much faster, by the clock and by the CPU, of how many rounds."""
    return {
        "ratio": compared.ratio,
        "cpu_ratio": compared.cpu_ratio,
        "rounds": len(compared.plain),
        "seconds": [median(reading.wall for reading in way) for way in (compared.plain, compared.better)],
        "cpu_seconds": [median(reading.cpu for reading in way) for way in (compared.plain, compared.better)],
    }


def _serving(served: Served) -> dict[str, Any]:
    alone, batch = served.answers_per_second
    return {
        "engine": served.engine,
        "kind": served.kind,
        "prompt_tokens": served.prompt_tokens,
        "answer_tokens": served.answer_tokens,
        "at_once": served.places,
        "tokens_per_second_alone": alone * served.answer_tokens,
        "tokens_per_second_at_once": batch * served.answer_tokens,
        "requests_per_second": [alone, batch],
        "share_of_matrix_rate": list(served.busy),
        "batching": _ratio(served.batching),
        "first_share_of_whole": served.first_share,
        "streaming": _ratio(served.first),
        "streams_equal_to_wholes": [served.equal, served.streams],
    }


def _prefix(prefixed: Prefixed) -> dict[str, Any]:
    return {
        "engine": prefixed.engine,
        "kind": prefixed.kind,
        "tokens": prefixed.tokens,
        "bytes_per_token": prefixed.bytes_per_token,
        "prompts": prefixed.prompts,
        "found_whole": prefixed.found,
        "first_token": _ratio(prefixed.first),
        "whole_answer": _ratio(prefixed.whole),
        "redis_wins": prefixed.first.ratio > 1,
        "logit_difference": prefixed.logit_difference,
        "other_tenant_tokens": prefixed.other_tenant,
    }


def _large(large: Large, device: Device) -> dict[str, Any]:
    """Return what a large model does with the memory's speed, which is the limit of decoding one answer.

    One answer reads what computes a token; 16 at once visit nearly every expert, and read nearly all there is.
    """
    bytes_each = 2
    alone, batch = (rate * large.served.answer_tokens for rate in large.served.answers_per_second)
    limits = [
        device.bandwidth / (large.model.active * bytes_each),
        device.bandwidth / (large.model.parameters * bytes_each) * large.served.places,
    ]
    return {
        "shape": to_builtins(large.model.shape),
        "bytes": large.model.parameters * bytes_each,
        "bandwidth_bytes_per_second": device.bandwidth,
        "tokens_per_second": [alone, batch],
        "tokens_per_second_at_the_bandwidth": limits,
        "share_of_bandwidth_limit": [alone / limits[0], batch / limits[1]],
        "serving": _serving(large.served),
        "serving_in_8_bits": _serving(large.packed),
        "prefixes": [_prefix(each) for each in large.prefixes],
    }
