"""Tests backends/usage.py: every token is in one bucket, and what cannot be put so is none."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import INPUT_BUCKETS, OUTPUT_BUCKETS, Usage
from backends.sse import StreamReader, read_reply
from backends.usage import Contradiction, read_usage

Told = dict[str, object]


def usage(told: object, *, model: str = "a-model") -> Usage | None:
    return read_usage(msgspec.Raw(json.dumps(told).encode()), model=msgspec.Raw(json.dumps(model).encode()))


def chat(**more: object) -> Told:
    return {"prompt_tokens": 100, "completion_tokens": 40, **more}


def details(**within: object) -> Told:
    return chat(prompt_tokens_details=within)


def spoken(**out: object) -> Told:
    return chat(completion_tokens_details=out)


KEPT = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (chat(total_tokens=140), Usage(100, None, 40)),
        (details(cached_tokens=60, audio_tokens=15), Usage(25, 60, 40, audio_input=15)),
        (details(image_tokens=30), Usage(70, None, 40, image_input=30)),
        (details(cached_tokens=90, image_tokens=30), Usage(10, 90, 40)),
        (details(cache_creation_tokens=30), Usage(70, None, 40, cache_write=30)),
        (details(cache_write_tokens=30), Usage(70, None, 40, cache_write=30)),
        (
            details(cached_tokens=0, cache_creation_tokens=30, cache_creation_token_details=KEPT),
            Usage(70, 0, 40, cache_write=10, cache_write_1h=20),
        ),
        (details(cache_creation_token_details=KEPT), Usage(70, None, 40, cache_write=10, cache_write_1h=20)),
        (
            spoken(reasoning_tokens=5, audio_tokens=7, image_tokens=8),
            Usage(100, None, 20, reasoning=5, audio_output=7, image_output=8),
        ),
        (chat(prompt_cache_hit_tokens=30, prompt_cache_miss_tokens=70), Usage(70, 30, 40)),
        (chat(prompt_cache_hit_tokens=0), Usage(100, 0, 40)),
        (chat(cached_tokens=30), Usage(70, 30, 40)),
        ({**spoken(reasoning_tokens=60), "total_tokens": 200}, Usage(100, None, 40, reasoning=60)),
        ({**spoken(reasoning_tokens=40), "total_tokens": 140}, Usage(100, None, 0, reasoning=40)),
        ({"prompt_tokens": 7, "total_tokens": 7}, Usage(7, None, 0)),
        ({"input_tokens": 7, "output_tokens": 3}, Usage(7, None, 3)),
        (
            {
                "input_tokens": 7,
                "cache_read_input_tokens": 5,
                "cache_creation_input_tokens": 30,
                "cache_creation": KEPT,
            },
            Usage(7, 5, 0, cache_write=10, cache_write_1h=20),
        ),
        (
            {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 60},
                "output_tokens": 9,
                "total_tokens": 109,
            },
            Usage(40, 60, 9),
        ),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 6,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 156,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 80},
                    {"modality": "AUDIO", "tokenCount": 20},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 12}],
            },
            Usage(51, 40, 8, audio_input=15, reasoning=30, image_output=12),
        ),
    ],
)
def test_each_way_of_counting_gives_disjoint_buckets(told: Told, expected: Usage) -> None:
    assert usage(told) == expected


def test_a_geminis_thoughts_are_what_its_total_has_beyond_its_parts() -> None:
    told = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}
    assert usage(told, model="models/gemini-2.5-flash") == Usage(20, None, 198, reasoning=405)
    with pytest.raises(Contradiction, match="total"):
        usage(told, model="another")


@pytest.mark.parametrize(
    "told", [None, {}, chat(prompt_tokens=0, completion_tokens=0), {"input_tokens": 0}, {"cost": 1}]
)
def test_who_counts_nothing_tells_nothing(told: object) -> None:
    assert usage(told) is None


@pytest.mark.parametrize(
    "told",
    [
        details(cached_tokens=101),
        details(cached_tokens=60, audio_tokens=41),
        details(cached_tokens=60, cache_creation_tokens=41),
        details(cache_creation_tokens=31, cache_creation_token_details=KEPT),
        details(cache_creation_tokens=30, cache_write_tokens=31),
        spoken(reasoning_tokens=41),
        spoken(reasoning_tokens=30, audio_tokens=11),
        chat(total_tokens=139),
        {**spoken(reasoning_tokens=5), "total_tokens": 144},
        chat(prompt_cache_hit_tokens=30, prompt_cache_miss_tokens=71),
        {**details(cached_tokens=29), "prompt_cache_hit_tokens": 30},
        {"input_tokens": 1, "cache_creation_input_tokens": 31, "cache_creation": KEPT},
        {"input_tokens": 1, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 4}},
        {"promptTokenCount": 5, "candidatesTokenCount": 6, "thoughtsTokenCount": 7, "totalTokenCount": 11},
        {"promptTokenCount": 5, "cachedContentTokenCount": 6},
        {"promptTokenCount": -5},
        chat(prompt_tokens=-1),
        chat(prompt_tokens=10**10),
        chat(prompt_tokens=1.5),
        {"input_tokens": "7"},
        "none",
        [],
    ],
)
def test_what_cannot_be_true_is_a_contradiction_and_is_never_bent(told: object) -> None:
    with pytest.raises(Contradiction):
        usage(told)


_count = st.none() | st.integers(0, 200)
_told = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 200), "completion_tokens": st.integers(0, 200)},
    optional={
        "total_tokens": _count,
        "prompt_cache_hit_tokens": _count,
        "prompt_tokens_details": st.none()
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]), _count
        ),
        "completion_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens", "image_tokens"]), _count),
    },
)


@settings(max_examples=150, deadline=None)
@given(told=_told, tier=st.sampled_from([None, "flex", "default"]), model=st.sampled_from(["m", "gemini-3"]))
def test_whole_and_streamed_answers_tell_the_same_and_its_sums_are_those_that_were_told(
    told: Told, tier: str | None, model: str
) -> None:
    frame = {"model": model, "service_tier": tier}
    whole = read_reply(json.dumps({**frame, "choices": [], "usage": told}).encode())
    reader = StreamReader(strip_usage=True)
    reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n')
    reader.feed(b"data: " + json.dumps({**frame, "choices": [], "usage": told}).encode() + b"\n\n")
    assert (reader.usage, reader.contradicts) == (whole.usage, whole.contradicts)
    found = whole.usage
    if found is None:
        return
    assert all((getattr(found, name) or 0) >= 0 for name in (*INPUT_BUCKETS, *OUTPUT_BUCKETS))
    assert found.total_input == told["prompt_tokens"]
    total = told.get("total_tokens")
    assert total is None or total == found.total_input + found.total_output
    assert (found.service_tier, found.cached_input is None or found.cached_input <= 200) == (tier or "", True)
