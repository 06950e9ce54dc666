"""Conversations and replies in both dialects, made by chance, and how clients put streams together again."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Fields = dict[str, Any]
Draw = Callable[..., Any]

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
NAMES = st.text("abc_XYZ019", min_size=1, max_size=8)
INPUTS = st.dictionaries(NAMES, WORDS | st.integers(-9, 9) | st.lists(WORDS, max_size=2), max_size=3)
TOKENS = st.integers(0, 50)
FINISHES = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])


@st.composite
def completions(draw: st.DrawFn) -> Fields:
    """Draw a chat completion as OpenAI-like servers give it."""
    message: Fields = {"role": "assistant", "content": draw(st.none() | WORDS)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(WORDS)
    inputs = draw(st.lists(INPUTS, max_size=3))
    if inputs:
        message["tool_calls"] = [
            {"id": f"call_{at}", "type": "function", "function": {"name": draw(NAMES), "arguments": json.dumps(given)}}
            for at, given in enumerate(inputs)
        ]
    cached, output = draw(TOKENS), draw(TOKENS)
    prompt = cached + draw(TOKENS)
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 7,
        "model": "served",
        "choices": [{"index": 0, "message": message, "finish_reason": draw(FINISHES)}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }


def chunks_of(whole: Fields, draw: Draw) -> bytes:
    """Return a completion as a stream of chunks, cut by chance."""
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    message = whole["choices"][0]["message"]
    deltas: list[Fields] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "content"):
        deltas += [{name: piece} for piece in pieces(message.get(name) or "", draw)]
    for at, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas.append({"tool_calls": [{**call, "index": at, "function": {"name": function["name"], "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}
            for piece in pieces(function["arguments"], draw)
        ]
    said = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    said.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": whole["choices"][0]["finish_reason"]}]})
    said.append({**head, "choices": [], "usage": whole["usage"]})
    events = [f"data: {json.dumps(each)}\n\n" for each in said]
    return "".join([*events, "data: [DONE]\n\n"]).encode()


@st.composite
def messages(draw: st.DrawFn) -> Fields:
    """Draw a Message as Anthropic's servers give it."""
    content: list[Fields] = []
    if draw(st.booleans()):
        content.append({"type": "thinking", "thinking": draw(WORDS), "signature": draw(st.sampled_from(["sig", "s2"]))})
    if draw(st.booleans()):
        content.append({"type": "redacted_thinking", "data": "hidden"})
    if draw(st.booleans()):
        content.append({"type": "text", "text": draw(WORDS.filter(bool))})
    content += [
        {"type": "tool_use", "id": f"toolu_{at}", "name": draw(NAMES), "input": given}
        for at, given in enumerate(draw(st.lists(INPUTS, max_size=3)))
    ]
    calls = any(block["type"] == "tool_use" for block in content)
    reason = "tool_use" if calls else draw(st.sampled_from(["end_turn", "max_tokens", "refusal", "stop_sequence"]))
    return {
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": "END" if reason == "stop_sequence" else None,
        "usage": {
            "input_tokens": draw(TOKENS),
            "cache_creation_input_tokens": draw(TOKENS),
            "cache_read_input_tokens": draw(TOKENS),
            "output_tokens": draw(TOKENS),
        },
    }


def events_of(whole: Fields, draw: Draw) -> bytes:
    """Return a Message as its stream of events, cut by chance."""
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "usage": {**whole["usage"]}}
    start["usage"]["output_tokens"] = 1
    said: list[Fields] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for at, block in enumerate(whole["content"]):
        said += [{**each, "index": at} for each in _block_events(block, draw)]
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    said.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": whole["usage"]["output_tokens"]}})
    said.append({"type": "message_stop"})
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in said).encode()


def _block_events(block: Fields, draw: Draw) -> list[Fields]:
    deltas: list[Fields] = []
    start = dict(block)
    match block["type"]:
        case "text":
            start["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"], draw)]
        case "thinking":
            start |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"], draw)]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            start["input"] = {}
            given = json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(given, draw)]]
    return [
        {"type": "content_block_start", "content_block": start},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]


def pieces(text: str, draw: Draw) -> list[str]:
    """Return a text in pieces that are not empty."""
    cuts = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=3))) if len(text) > 1 else []
    found = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [piece for piece in found if piece]


def split(stream: bytes, draw: Draw) -> list[bytes]:
    """Return a stream's bytes in pieces of any size."""
    size = draw(st.integers(1, 200))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def message_of(stream: bytes) -> Fields:
    """Put a Message together as Anthropic's own client does; events must be in their order."""
    message: Fields = {}
    inputs: dict[int, str] = {}
    is_open = False
    for event in stream.decode().split("\n\n")[:-1]:
        name, _, data = event.partition("\n")
        said = json.loads(data.removeprefix("data: "))
        assert name == f"event: {said['type']}"
        match said["type"]:
            case "message_start":
                assert not message
                message = said["message"]
            case "content_block_start":
                assert not is_open
                assert said["index"] == len(message["content"])
                is_open = True
                message["content"].append(said["content_block"])
            case "content_block_delta":
                assert is_open
                _add(message["content"], said, inputs)
            case "content_block_stop":
                assert is_open
                is_open = False
            case "message_delta":
                message |= said["delta"]
                message["usage"] |= said["usage"]
            case "message_stop":
                assert not is_open
                assert message["stop_reason"]
    for at, given in inputs.items():
        message["content"][at]["input"] = json.loads(given)
    return message


def _add(content: list[Fields], said: Fields, inputs: dict[int, str]) -> None:
    delta, at = said["delta"], said["index"]
    assert at == len(content) - 1
    match delta["type"]:
        case "text_delta":
            content[at]["text"] += delta["text"]
        case "thinking_delta":
            content[at]["thinking"] += delta["thinking"]
        case "signature_delta":
            content[at]["signature"] = delta["signature"]
        case "input_json_delta":
            inputs[at] = inputs.get(at, "") + delta["partial_json"]


def completion_of(stream: bytes) -> Fields:
    """Put a chat completion together as OpenAI's clients do."""
    events = stream.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    message: Fields = {"role": "assistant", "content": ""}
    whole: Fields = {}
    for event in events[:-2]:
        if event.startswith(":"):
            continue
        said = json.loads(event.removeprefix("data: "))
        whole |= {name: value for name, value in said.items() if name not in ("choices", "object")}
        for choice in said["choices"]:
            if choice["finish_reason"]:
                whole["choice"] = {name: value for name, value in choice.items() if name not in ("delta", "index")}
            for name, value in choice["delta"].items():
                _join(message, name, value)
    return {**whole, "message": message}


def _join(message: Fields, name: str, value: Any) -> None:
    if name == "role":
        return
    if name not in ("tool_calls", "thinking_blocks"):
        message[name] = (message.get(name) or "") + value
        return
    known = message.setdefault(name, [])
    for each in value:
        added = {key: given for key, given in each.items() if key != "index"}
        if each["index"] == len(known):
            known.append(added)
        else:
            known[each["index"]]["function"]["arguments"] += each["function"]["arguments"]
