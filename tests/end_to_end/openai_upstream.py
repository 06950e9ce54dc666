"""An OpenAI-compatible server over HTTP that answers with every field that the API documents."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.end_to_end.openai_answers import WORDS, message_for

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 1, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
EMPTY = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
_ids = itertools.count(1)


@dataclass
class Upstream:
    """Where it listens, and the names of the fields that came to each path."""

    url: str = ""
    fields: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def chat(self, request: Request) -> Response:
        """Answer a chat request, streamed or whole."""
        body = await self._read(request)
        frame = _frame("chat.completion", body)
        said = message_for(body)
        reason = "tool_calls" if said.get("tool_calls") else "stop"
        if body.get("stream"):
            first = {"role": "assistant", "content": "", "refusal": None}
            chunks = [{**EMPTY, "delta": delta} for delta in (first, *_deltas(said))]
            return _events(
                {**frame, "object": "chat.completion.chunk"}, [*chunks, {**EMPTY, "finish_reason": reason}], body
            )
        message = {"role": "assistant", "refusal": None, "annotations": [_citation()], "audio": None, **said}
        logprobs = {"content": [_token(word) for word in WORDS], "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
        return JSONResponse({**frame, "choices": [choice], "usage": USAGE})

    async def completion(self, request: Request) -> Response:
        """Answer a text request, streamed or whole."""
        body = await self._read(request)
        frame = _frame("text_completion", body)
        if body.get("stream"):
            chunks = [{"index": 0, "text": word, "logprobs": None, "finish_reason": None} for word in WORDS]
            return _events(frame, [*chunks, {**chunks[0], "text": "", "finish_reason": "stop"}], body)
        logprobs = {
            "tokens": list(WORDS), "token_logprobs": [-0.1] * 3, "text_offset": [0, 3, 7],
            "top_logprobs": [{word: -0.1} for word in WORDS],
        }  # fmt: skip
        choice = {"index": 0, "text": "".join(WORDS), "logprobs": logprobs, "finish_reason": "stop"}
        return JSONResponse({**frame, "choices": [choice], "usage": USAGE})

    async def embedding(self, request: Request) -> Response:
        """Answer with vectors of numbers, the one encoding that the suite's strict types know."""
        body = await self._read(request)
        vector = [0.5] * int(body.get("dimensions") or 8)
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))]
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _read(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.fields[request.url.path] |= body.keys()
        return body


@contextmanager
def serving() -> Iterator[Upstream]:
    """Run the server for as long as the block does."""
    upstream = Upstream()
    routes = [
        Route("/v1/chat/completions", upstream.chat, methods=["POST"]),
        Route("/v1/completions", upstream.completion, methods=["POST"]),
        Route("/v1/embeddings", upstream.embedding, methods=["POST"]),
        Route("/health", lambda _request: Response()),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    upstream.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    yield upstream
    server.should_exit = True
    thread.join(10)


def _frame(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"cmpl-{next(_ids)}",
        "object": kind,
        "created": 1_790_000_000,
        "model": body["model"],
        "system_fingerprint": "fp_1",
        **({} if kind == "text_completion" else {"service_tier": "default"}),
    }


def _deltas(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a message is told in: its text in pieces, a call's arguments behind its name."""
    text = said["content"] or ""
    yield from ({"content": text[at : at + 5]} for at in range(0, len(text), 5))
    for index, call in enumerate(said.get("tool_calls", ())):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}
        for at in range(0, len(function["arguments"]), 5):
            yield {"tool_calls": [{"index": index, "function": {"arguments": function["arguments"][at : at + 5]}}]}


def _events(frame: dict[str, Any], choices: list[dict[str, Any]], body: dict[str, Any]) -> Response:
    chunks: list[dict[str, Any]] = [{**frame, "choices": [choice]} for choice in choices]
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**frame, "choices": [], "usage": USAGE})
    said = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return Response(said, media_type="text/event-stream")


def _token(text: str) -> dict[str, object]:
    told = {"token": text, "bytes": list(text.encode()), "logprob": -0.1}
    return {**told, "top_logprobs": [told]}


def _citation() -> dict[str, object]:
    where = {"start_index": 0, "end_index": 3, "title": "One", "url": "https://example.com/1"}
    return {"type": "url_citation", "url_citation": where}
