"""A call's path -> where on its server that lies.

Nearly everything lies below the base URL, such as "/v1"; a tokenizer is no part of the API and lies beside it.
"""

from typing import Final

TOKENIZE: Final = "/tokenize"
"""Takes a chat and counts its tokens: the path of vLLM's tokenizer, and of our engines'."""

_API: Final = "/v1"


def server_path(base: str, path: str) -> str:
    """Return the path on the server.

    Args:
        base: the path of the base URL, without a slash at its end.
        path: of the call.
    """
    return (base.removesuffix(_API) if path == TOKENIZE else base) + path
