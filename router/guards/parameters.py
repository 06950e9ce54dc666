"""Document -> the same document, or a refusal of what would steer the gateway or an engine.

A short list, refused at any depth; every other field, known or not, reaches the backend as it came.
"""

from router.base import BadRequest
from router.guards.documents import Document

REFUSED = (
    "api_base",
    "base_url",
    "user_config",
    "extra_headers",
    "chat_template",
    "cache_salt",
    "kv_transfer_params",
)
_MARKS = tuple(name.encode() for name in REFUSED)


def refuse_steering(body: bytes, document: Document) -> None:
    """Refuse the listed names, wherever they stand as a name.

    Raises:
        BadRequest: with the code `parameter_not_allowed` and the path of the name.
    """
    if b"\\u" not in body:  # names are plain letters, unless they are escaped
        for mark in _MARKS:
            if mark in body:
                break
        else:
            return
    path = _find(document)
    if path is not None:
        raise BadRequest(f"the parameter {path} is not allowed here", code="parameter_not_allowed", param=path)


def _find(document: Document) -> str | None:
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for name, below in value.items():
                here = f"{path}.{name}" if path else name
                if name in REFUSED and not _is_schema_property(path):
                    return here
                waiting.append((here, below))
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", below) for index, below in enumerate(value)]
    return None


def _is_schema_property(path: str) -> bool:
    """Tell whether a name stands where a tool or a schema describes its own arguments."""
    return path.endswith(".properties")
