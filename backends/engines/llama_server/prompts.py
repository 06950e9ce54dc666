"""What is asked -> the token ids of its prompt, as the model's chat template writes it."""

from collections import OrderedDict
from typing import Final

import msgspec

from backends.engines.base import CHAT, Ask
from backends.engines.llama_server.client import Client

_MAX_REMEMBERED: Final = 256  # prompts between being counted and being answered


class Prompts:
    """Prompts of one model.

    Args:
        keeps_ids: whether ids are asked for again after they were counted.
    """

    def __init__(self, client: Client, *, keeps_ids: bool) -> None:
        self._client, self._keeps_ids = client, keeps_ids
        self._remembered: OrderedDict[int, tuple[Ask, list[int]]] = OrderedDict()

    async def count(self, ask: Ask) -> int:
        """Return how many tokens it has.

        Raises:
            Refused: the template cannot write it.
        """
        if ask.path == CHAT and not self._keeps_ids:
            told = await self._client.ask("/v1/chat/completions/input_tokens", dict(ask.fields))
            return int(told["input_tokens"])
        ids = await self._read(ask)
        if self._keeps_ids:
            self._remembered[id(ask)] = (ask, ids)  # with the ask itself, so that no other gets its number
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return len(ids)

    async def ids(self, ask: Ask) -> list[int]:
        """Return its ids; those that were counted are not asked for again.

        Raises:
            Refused: the template cannot write it.
        """
        _, ids = self._remembered.pop(id(ask), (ask, list[int]()))
        return ids or await self._read(ask)

    async def tokenize(self, text: str) -> list[int]:
        """Return the ids of a text without special ones."""
        told = await self._client.ask("/tokenize", {"content": text, "add_special": False, "parse_special": False})
        return list[int](told["tokens"])

    async def _read(self, ask: Ask) -> list[int]:
        if ask.path == CHAT:
            prompt = (await self._client.ask("/apply-template", dict(ask.fields)))["prompt"]
        else:
            prompt = msgspec.json.decode(ask.fields["prompt"])
        if isinstance(prompt, list):
            return prompt
        told = await self._client.ask("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        return list[int](told["tokens"])
