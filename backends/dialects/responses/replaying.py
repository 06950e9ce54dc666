"""A Response that was stored -> the events that told of it, once more.

The same events by the same numbers, but for the deltas: what came in pieces comes in one.
"""

from typing import Any, Final

from backends.dialects.reading import Fields
from backends.dialects.responses.writing import CANCELLED, FAILED, UNTIL, ResponseWriter, event

_OWN: Final = frozenset("id object created_at status completed_at error incomplete_details model output usage".split())
_FINISH_REASONS: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


def events_of(response: Fields, *, after: int = -1) -> bytes:
    """Return the events.

    Args:
        response: as a `ResponseWriter` gave it.
        after: those up to this number are left out.
    """
    repeated = {name: value for name, value in response.items() if name not in _OWN}
    writer = ResponseWriter(response["id"], repeated, streams=True, after=after)
    writer.begin(response["model"], int(response["created_at"]))
    for at, item in enumerate(response["output"]):
        _write(writer, at, item)
    if response["usage"] is not None:
        writer.use(response["usage"])
    if response["status"] == CANCELLED:
        writer.cancel()
        return writer.take()
    if response["status"] == FAILED:
        writer.fail(response["error"]["message"], response["error"]["code"])
        return writer.take()
    why = (response["incomplete_details"] or {}).get("reason", "")
    writer.end(_FINISH_REASONS.get(why, "stop"), completed=response["completed_at"])
    writer.close()
    return writer.take()


def last_event(response: Fields, *, number: int) -> bytes:
    """Return the event that ends the stream, where the others are known, and are fewer than `number`."""
    return event(UNTIL[response["status"]], number, {"response": response})


def _write(writer: ResponseWriter, at: int, item: dict[str, Any]) -> None:
    match item["type"]:
        case "reasoning":
            for part in item["content"]:
                writer.think(part["text"])
        case "message":
            for part in item["content"]:
                if part["type"] == "refusal":
                    writer.refuse(part["refusal"])
                    continue
                writer.say(part["text"], part["logprobs"])
                for annotation in part["annotations"]:
                    writer.note(annotation)
        case kind:
            is_custom = kind == "custom_tool_call"
            given = item["input" if is_custom else "arguments"]
            writer.call(at, call_id=item["call_id"], name=item["name"], given=given, custom=is_custom)
