"""Events of one job -> the JSON of the OpenAI API, whole or as server-sent events.

Each choice begins with its role, and says once why it ended. Usage counts the prompt once, however many answers it got.

Source: OpenAI API reference, "Chat completion object", "Chat completion chunk" and "Completion object".
"""

from typing import Any, Final

import msgspec

from backends.engines.base import CHAT, Ask
from backends.engines.torch_engine.answers import Grown, Job
from backends.engines.torch_engine.sampling import Chosen
from backends.engines.torch_engine.tokenising import Tokenizer

DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


class Writing:
    """Writes the answers of one job.

    Args:
        model: its name in answers.
        created: seconds since 1970.
    """

    def __init__(self, ask: Ask, job: Job, tokenizer: Tokenizer, *, model: str, created: int) -> None:
        self._ask, self._job, self._tokenizer = ask, job, tokenizer
        self._chat = ask.path == CHAT
        self._head = {
            "id": f"{'chatcmpl' if self._chat else 'cmpl'}-{ask.request_id}",
            "object": self._object(),
            "created": created,
            "model": model,
        }
        self._texts: dict[int, list[str]] = {choice: [] for choice in range(ask.choices)}
        self._chosen: dict[int, list[Chosen]] = {choice: [] for choice in range(ask.choices)}
        self._finish: dict[int, str] = {}
        self._tokens: dict[int, int] = {}
        self._begun: set[int] = set()
        self._offsets: dict[int, int] = dict.fromkeys(range(ask.choices), 0)

    @property
    def complete(self) -> bool:
        """Tell whether all choices have ended."""
        return len(self._finish) == self._ask.choices

    def chunk(self, grown: Grown) -> bytes:
        """Return the server-sent events of one event; those of the last one end the stream."""
        self._count(grown)
        choices = [self._text_choice(grown)] if not self._chat else self._deltas(grown)
        events = b"".join(_event({**self._head, "choices": [choice]}) for choice in choices)
        if not self.complete:
            return events
        if self._ask.wants_usage:
            events += _event({**self._head, "choices": [], "usage": self._usage()})
        return events + DONE

    def take(self, grown: Grown) -> None:
        """Keep one event for the whole answer."""
        self._count(grown)
        self._texts[grown.choice].append(grown.text)
        self._chosen[grown.choice].extend(grown.chosen)

    def whole(self) -> bytes:
        """Return the whole answer, once it is complete."""
        choices = [self._whole_choice(choice) for choice in range(self._ask.choices)]
        return _encode({**self._head, "choices": choices, "usage": self._usage()})

    def _object(self) -> str:
        if not self._chat:
            return "text_completion"
        return "chat.completion.chunk" if self._ask.stream else "chat.completion"

    def _count(self, grown: Grown) -> None:
        self._tokens[grown.choice] = grown.tokens
        if grown.finish:
            self._finish[grown.choice] = grown.finish

    def _deltas(self, grown: Grown) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        if grown.choice not in self._begun:
            self._begun.add(grown.choice)
            deltas.append(_delta(grown.choice, {"role": "assistant", "content": ""}))
        if grown.text or grown.chosen:
            delta = _delta(grown.choice, {"content": grown.text})
            if self._wants_logprobs:
                delta["logprobs"] = {"content": [self._told(chosen) for chosen in grown.chosen]}
            deltas.append(delta)
        if grown.finish:
            deltas.append(_delta(grown.choice, {}, finish=grown.finish))
        return deltas

    def _text_choice(self, grown: Grown) -> dict[str, Any]:
        return {
            "index": grown.choice,
            "text": grown.text,
            "logprobs": self._text_logprobs(grown.choice, grown.chosen) if self._wants_logprobs else None,
            "finish_reason": grown.finish or None,
        }

    def _whole_choice(self, choice: int) -> dict[str, Any]:
        text, chosen, finish = "".join(self._texts[choice]), self._chosen[choice], self._finish[choice]
        if not self._chat:
            return self._text_choice(Grown(choice, text, self._tokens[choice], tuple(chosen), finish))
        return {
            "index": choice,
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": [self._told(one) for one in chosen]} if self._wants_logprobs else None,
            "finish_reason": finish,
        }

    @property
    def _wants_logprobs(self) -> bool:
        return self._job.wanted.sampling.logprobs is not None

    def _told(self, chosen: Chosen) -> dict[str, Any]:
        """Return one token as a chat tells it."""
        top = [self._token(token, logprob) for token, logprob in chosen.top]
        return {**self._token(chosen.token, chosen.logprob), "top_logprobs": top}

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        piece = self._tokenizer.piece(token)
        return {"token": piece.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(piece)}

    def _text_logprobs(self, choice: int, chosen: tuple[Chosen, ...]) -> dict[str, Any]:
        """Return tokens as a completion tells them; an offset is of the answer's text, in characters."""
        texts = [self._text(one.token) for one in chosen]
        offsets = []
        for text in texts:
            offsets.append(self._offsets[choice])
            self._offsets[choice] += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [one.logprob for one in chosen],
            "top_logprobs": [
                # Parts of characters are written alike: then the likeliest, which comes first, stands for all.
                {self._text(token): logprob for token, logprob in reversed(one.top)}
                for one in chosen
            ],
            "text_offset": offsets,
        }

    def _text(self, token: int) -> str:
        return self._tokenizer.piece(token).decode("utf-8", "replace")

    def _usage(self) -> dict[str, Any]:
        prompt, completion = len(self._job.wanted.prompt), sum(self._tokens.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self._job.cached},
        }


def _delta(choice: int, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    return {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
