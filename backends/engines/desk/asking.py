"""Question -> what a backend answers, drawn greedily and whole."""

import time
from contextlib import aclosing

import msgspec

from backends.base import Backend, Call
from backends.engines.desk.questions import Question

ANSWER_TOKENS = 64  # more than the longest true answer needs
_SECONDS = 60.0


async def answer_of(engine: Backend, question: Question) -> str:
    """Return what a model answers to one question, drawn greedily.

    Raises:
        BackendError: it does not answer.
    """
    body = msgspec.json.encode(
        {
            "messages": [{"role": "user", "content": question.text}],
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
        }
    )
    deadline = time.monotonic() + _SECONDS
    call = Call(path="/chat/completions", body=body, stream=False, deadline=deadline, request_id="desk")
    reply = await engine.send(call)
    async with aclosing(reply.chunks) as chunks:
        whole = b"".join([chunk async for chunk in chunks])
    answer: str = msgspec.json.decode(whole)["choices"][0]["message"]["content"]
    return answer
