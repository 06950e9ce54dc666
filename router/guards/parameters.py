"""Bytes of a body -> its document, or a refusal of what would steer the gateway or an engine.

A short list, refused at any depth; every other field, known or not, reaches the backend as it came.
"""

from router.base import BadRequest
from router.guards.documents import Document, DocumentReader

REFUSED = (
    "api_base",
    "base_url",
    "user_config",
    "extra_headers",
    "chat_template",
    "cache_salt",
    "kv_transfer_params",
)
LONGEST_NAME = 80  # characters that are repeated to the caller

_documents = DocumentReader(watched=REFUSED)
_Trail = tuple["_Trail", str | int] | None  # how a value is reached: what holds it, and its name or place there


def read_document(body: bytes) -> Document:
    """Return the object that a body spells; it is looked through only where one of the names stands in it.

    Raises:
        BadRequest: it is none, or what is in it is not allowed.
    """
    document = _documents.read(body)
    if _documents.saw_watched:
        refuse_steering(document)
    return document


def refuse_steering(document: Document) -> None:
    """Refuse the listed names, wherever they stand as a name.

    Raises:
        BadRequest: with the code `parameter_not_allowed` and the path of the name.
    """
    path = _find(document)
    if path is not None:
        raise BadRequest(f"the parameter {path} is not allowed here", code="parameter_not_allowed", param=path)


def _find(document: Document) -> str | None:
    waiting: list[tuple[object, _Trail]] = [(document, None)]
    while waiting:
        value, trail = waiting.pop()
        if isinstance(value, dict):
            if not _is_in_schema(trail):
                for name in REFUSED:
                    if name in value:
                        return _path((trail, name))
            waiting += [(below, (trail, name)) for name, below in value.items() if isinstance(below, (dict, list))]
        elif isinstance(value, list):
            waiting += [(below, (trail, index)) for index, below in enumerate(value) if isinstance(below, (dict, list))]
    return None


def _is_in_schema(trail: _Trail) -> bool:
    """Tell whether names stand where a tool or a schema describes its own arguments."""
    return trail is not None and trail[1] == "properties"


def _path(trail: _Trail) -> str:
    """Return "a[0].b" for the names and places that lead there."""
    parts: list[str] = []
    while trail is not None:
        trail, step = trail
        parts.append(f"[{step}]" if isinstance(step, int) else f".{step[:LONGEST_NAME]}")
    return "".join(reversed(parts)).removeprefix(".")
