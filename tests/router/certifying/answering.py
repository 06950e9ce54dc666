"""Models that know the answers, or some of them; chosen by configuration like any other kind."""

import json
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from backends.base import BackendError, Call, Reply
from backends.capabilities import Capabilities
from router.base import Tier
from router.certificate import Identity
from router.certifying.asking import Model
from router.certifying.base import Case, Plan

Body = dict[str, Any]
Brain = Callable[[Body], object]
"""A request's body -> a text, calls of tools by name, or an error."""

_ASKED = re.compile(r"depot (\w+)\?")
_LISTED = re.compile(r"depots, one a line: (.+)\.")
_NO_CALL = "an answer without a call"


@dataclass
class Answering:
    """A backend that answers as its brain says.

    Attributes:
        most: bodies that were under way at the same time.
    """

    brain: Brain
    bodies: list[Body] = field(default_factory=list)
    closed: bool = False

    async def send(self, call: Call) -> Reply:
        body = json.loads(call.body)
        self.bodies.append(body)
        said = self.brain(body)
        if isinstance(said, BackendError):
            raise said
        return Reply(_whole(_completion(said)), "application/json", "answering:1")

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        self.closed = True


async def _whole(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _completion(said: object) -> bytes:
    if isinstance(said, bytes):
        return said
    message: Body = {"role": "assistant", "content": said}
    if isinstance(said, Mapping):
        calls = [{"type": "function", "function": {"name": name, "arguments": said[name]}} for name in said]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    return json.dumps({"choices": [{"index": 0, "message": message}], "usage": {"prompt_tokens": 77}}).encode()


def model(tier: Tier, brain: Brain, can: Capabilities | None = None) -> Model:
    """Return a model over a backend that answers as a brain says."""
    return Model(Identity(tier, f"the-{tier}"), Answering(brain), can or Capabilities())


def knowing(plans: Iterable[Plan], seed: int, count: int) -> Brain:
    """Return a brain that knows what the cases of these slices want."""
    wanted = {
        json.dumps(body["messages"]): case.wanted
        for plan in plans
        for case in plan.cases(seed, count)
        for body in case.bodies
    }
    return lambda body: _right(body, wanted[json.dumps(body["messages"])])


def failing(brain: Brain, every: int) -> Brain:
    """Return a brain that says nothing useful to about one question of so many; always the same ones."""

    def answer(body: Body) -> object:
        fails = zlib.crc32(json.dumps(body["messages"]).encode()) % every == 0
        return "I cannot say." if fails else brain(body)

    return answer


def _right(body: Body, wanted: str) -> object:
    text = body["messages"][-1]["content"]
    if body.get("tools"):
        name, _, arguments = wanted.partition(" ")
        return "four" if wanted.startswith(_NO_CALL) else {name: arguments}
    if found := _ASKED.search(text):
        return _code(text, found[1])
    if found := _LISTED.search(text):
        return "\n".join(f"{depot}: {_code(text, depot)}" for depot in found[1].split(", "))
    return wanted


def _code(text: str, depot: str) -> str:
    found = re.search(rf"depot {depot} is (\d+)", text)
    return found[1] if found else ""


def replies_to(case: Case, brain: Brain) -> list[object]:
    """Return what a brain says to a case."""
    return [brain(dict(body)) for body in case.bodies]


BRAINS: dict[str, Brain] = {}


class AnsweringOptions(BaseModel):
    """`use: tests.router.certifying.answering:AnsweringOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    tier: str
    model: str
    price: str
    capabilities: Capabilities = Capabilities()

    def build(self) -> Answering:
        """Return the backend with the brain of its tier."""
        return Answering(BRAINS[self.tier])
