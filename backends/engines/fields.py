"""A field of a request -> whether it asks an engine for anything.

What an engine honours is its own affair; this tells of all other fields which may be left aside. The rest is refused:
no field is dropped without a word.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from backends.engines.base import Refused

HARMLESS: Final = frozenset(
    "model user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention prediction"
    " parallel_tool_calls".split()
)
"""What says who asks, or how to bill, keep or speed up an answer, and nothing about the answer."""

NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = {
    "allowed_token_ids": ([],),
    "bad_words": ([],),
    "best_of": (1,),
    "cache_prompt": (True,),
    "early_stopping": (False,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "prompt_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "use_beam_search": (False,),
}
"""Fields with the values that ask for nothing; null asks for nothing in any field."""


def check_idle(name: str, value: Raw) -> None:
    """Check that a field which the engine does not honour asks for nothing.

    Raises:
        Refused: it asks for something.
    """
    if name in HARMLESS or bytes(value) == b"null":
        return
    if name not in NEUTRAL:
        raise Refused(f"this engine does not know the field {name[:80]!a}: leave it out", param=name[:80])
    try:
        told = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{name} is not JSON: {error}", param=name) from error
    if told not in NEUTRAL[name]:
        raise Refused(f"this engine cannot honour {name}: leave it out, or ask another model", param=name)
