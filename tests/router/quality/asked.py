"""Requests and replies as the gateway hands them on, for tests of what looks at them."""

import json

import msgspec
from msgspec import Raw

from classifier.base import Prompt, Turn
from router.base import Request


def request_of(name: str = "req_1", /, *, stream: bool = False, **fields: object) -> Request:
    """Return a chat request whose body has these fields, too."""
    return Request(
        id=name,
        caller_id="",
        tenant="acme",
        path="/chat/completions",
        model="auto",
        wanted=None,
        prompt=Prompt((Turn("user", "how?"),)),
        stream=stream,
        wants_usage=False,
        fields={field: Raw(msgspec.json.encode(value)) for field, value in fields.items()},
        cacheable=False,
        received=0.0,
        deadline=60.0,
    )


def body_of(text: str | None, *, finish: str | None = "stop", **message: object) -> bytes:
    """Return an unstreamed answer."""
    said = {"role": "assistant", "content": text, **message}
    return json.dumps({"choices": [{"index": 0, "message": said, "finish_reason": finish}]}).encode()
