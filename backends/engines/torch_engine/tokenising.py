"""Folder of a model -> what turns messages and texts into token ids.

Where the folder holds one of Mistral's own tokenizer files, mistral-common reads it and writes the prompt as Mistral's
models were trained; elsewhere the folder's own tokenizer and chat template do. How ids become text again, token by
token, says `spelling.py`.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from backends.engines.base import ModelRefused, Refused
from backends.engines.torch_engine.base import first_line
from backends.engines.torch_engine.spelling import BytePieces, DecodedPieces, Speller, byte_of_symbol

TEKKEN: Final = "tekken.json"
_SENTENCEPIECE: Final = "tokenizer.model.v*"
_BYTE: Final = re.compile("<0x[0-9A-F]{2}>")


class Part(Struct, tag_field="type", tag="text", frozen=True):
    """A piece of a message; there is only text."""

    text: str


class Message(Struct, frozen=True):
    """One message of a conversation, as this engine can write it."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """Return its text in one piece."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)

    def plain(self) -> dict[str, Any]:
        """Return it as chat templates read it; a developer is what a system used to be."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.text}


class Tokenizer(Protocol):
    """Texts to token ids and back; called from one thread at a time but for `speller` and `piece`."""

    @property
    def size(self) -> int:
        """Return a number that all ids are below."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """Return ids that end an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the text's ids, without special ones."""
        ...

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a text that is to be continued, with what the model wants before it."""
        ...

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation that is to be answered.

        Raises:
            Refused: the model's template cannot write it.
        """
        ...

    def piece(self, token: int) -> bytes:
        """Return what one token stands for, which may be part of a character."""
        ...

    def speller(self, before: Sequence[int]) -> Speller:
        """Return what turns an answer's ids into text.

        Args:
            before: ids that the answer goes on from; empty where it begins a text of its own.
        """
        ...


def open_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model.

    Raises:
        ModelRefused: there is none, or it cannot be read.
    """
    theirs = [folder / TEKKEN, *sorted(folder.glob(_SENTENCEPIECE), reverse=True)]
    file = next((one for one in theirs if one.is_file()), None)
    try:
        return _FolderTokenizer(folder) if file is None else _MistralTokenizer(file)
    except (OSError, ValueError, KeyError, ImportError) as error:
        advice = "the folder needs tokenizer.json, tekken.json or tokenizer.model.v3"
        raise ModelRefused(f"cannot read the tokenizer of {folder}: {first_line(error)}; {advice}") from error


class _FolderTokenizer:
    """What transformers reads from the folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer  # noqa: PLC0415 - loads torch

        self._own = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.size: int = max(self._own.get_vocab().values(), default=-1) + 1
        end = self._own.eos_token_id
        self.ends = frozenset(() if end is None else (end,))
        self._special = frozenset(self._own.all_special_ids)
        self._by_bytes = type(getattr(self._own.backend_tokenizer, "decoder", None)).__name__ == "ByteLevel"

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._own.encode(text, add_special_tokens=False)
        return ids

    def prompt(self, text: str) -> list[int]:
        ids: list[int] = self._own.encode(text)
        return ids

    def chat(self, messages: Sequence[Message]) -> list[int]:
        from jinja2 import TemplateError  # noqa: PLC0415 - comes with transformers' templates

        if not self._own.chat_template:
            raise Refused("this model has no chat template: ask /completions with a prompt", param="messages")
        conversation = [message.plain() for message in messages]
        try:
            ids: list[int] = self._own.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise Refused(f"the model's chat template refuses: {first_line(error)}", param="messages") from error
        return ids

    def piece(self, token: int) -> bytes:
        if token in self._special:
            return b""
        symbols: str | None = self._own.convert_ids_to_tokens(token)
        if symbols is None:
            return b""
        if self._by_bytes:
            return byte_of_symbol(symbols)
        text: str = self._own.decode([token], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.encode("utf-8", "replace")

    def speller(self, before: Sequence[int]) -> Speller:
        return BytePieces(self.piece) if self._by_bytes else DecodedPieces(self._decode, before)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._own.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class _MistralTokenizer:
    """One of Mistral's own, read by mistral-common."""

    def __init__(self, file: Path) -> None:
        from mistral_common.exceptions import MistralCommonException  # noqa: PLC0415 - loads numpy, pydantic and more
        from mistral_common.protocol.instruct.request import ChatCompletionRequest  # noqa: PLC0415
        from mistral_common.protocol.instruct.validator import ValidationMode  # noqa: PLC0415
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer  # noqa: PLC0415

        self._refusals = MistralCommonException, ValueError, AssertionError
        self._request: Callable[..., Any] = ChatCompletionRequest.from_openai
        try:
            self._whole: Any = MistralTokenizer.from_file(file, mode=ValidationMode.test)
        except MistralCommonException as error:
            raise ValueError(error.message) from error
        self._own: Any = self._whole.instruct_tokenizer.tokenizer
        self.size: int = self._own.n_words
        self.ends = frozenset((int(self._own.eos_id),))

    def encode(self, text: str) -> list[int]:
        return list(self._own.encode(text, bos=False, eos=False))

    def prompt(self, text: str) -> list[int]:
        return list(self._own.encode(text, bos=True, eos=False))

    def chat(self, messages: Sequence[Message]) -> list[int]:
        try:
            request = self._request([message.plain() for message in messages])
            return list(self._whole.encode_chat_completion(request).tokens)
        except self._refusals as error:
            raise Refused(f"Mistral's chat template refuses: {first_line(error)}", param="messages") from error

    def piece(self, token: int) -> bytes:
        if not 0 <= token < self.size or self._own.is_special(token):
            return b""
        if hasattr(self._own, "id_to_byte_piece"):
            return bytes(self._own.id_to_byte_piece(token))
        symbols: str = self._own.id_to_piece(token)
        if _BYTE.fullmatch(symbols):
            return bytes.fromhex(symbols[3:5])
        return symbols.replace("\u2581", " ").encode()

    def speller(self, before: Sequence[int]) -> Speller:
        if hasattr(self._own, "id_to_byte_piece"):
            return BytePieces(self.piece)
        return DecodedPieces(self._decode, before)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._own.decode(list(ids)))
