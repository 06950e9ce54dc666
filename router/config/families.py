"""Name of a model -> the families that it is of, as far as its name tells.

A distilled model is of two. Names that tell nothing are of none; whoever needs to know has to be told then.
"""

import re
from typing import Final

_NAMED: Final = {
    "gpt": "gpt chatgpt o1 o3 o4 davinci",
    "claude": "claude",
    "gemini": "gemini gemma palm",
    "llama": "llama vicuna alpaca nemotron",
    "mistral": "mistral mixtral ministral magistral codestral devstral pixtral voxtral",
    "qwen": "qwen qwq qvq",
    "deepseek": "deepseek",
    "glm": "glm chatglm",
    "kimi": "kimi moonshot moonlight",
    "phi": "phi",
    "yi": "yi",
    "command": "command aya c4ai",
    "grok": "grok",
    "nova": "nova titan",
    "granite": "granite",
    "ernie": "ernie",
    "hunyuan": "hunyuan",
    "doubao": "doubao seed",
    "minimax": "minimax abab",
    "olmo": "olmo tulu",
    "falcon": "falcon",
    "jamba": "jamba",
    "internlm": "internlm",
    "baichuan": "baichuan",
    "smollm": "smollm",
    "desk": "desk",
}
_FAMILY_OF: Final = {word: family for family, words in _NAMED.items() for word in words.split()}
_WORD: Final = re.compile(r"(?<![a-z])(?:o[134]|[a-z]+\d?[a-z]*)")


def families_of(model: str) -> frozenset[str]:
    """Return the families that a model's name tells; none where it tells nothing."""
    words = _WORD.findall(model.lower())
    return frozenset(
        _FAMILY_OF[known] for word in words for known in (word, word.rstrip("0123456789")) if known in _FAMILY_OF
    )
