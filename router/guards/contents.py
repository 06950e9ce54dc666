"""Messages -> the same messages, or a refusal of addresses that a backend would fetch.

An engine that is told of an address fetches it, from where it stands: inside. So content travels in the request itself,
as `data:`, and nothing else may be named, however it is spelt.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from router.base import BadRequest

_NAMES: Final = ("url", "image_url", "video_url", "audio_url", "file_url")
"""Where parts of messages name what they show: as a text, or one level down."""

_DATA: Final = "data:"


def refuse_addresses(messages: Sequence[object]) -> None:
    """Refuse parts that name anything but `data:`.

    Args:
        messages: as they stand in the document; each is an object.

    Raises:
        BadRequest: with the code `url_not_allowed` and the path of the address.
    """
    for number, message in enumerate(messages):
        parts = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(parts) if isinstance(parts, list) else ():
            if isinstance(part, dict):
                for path, address in _addresses(part):
                    if address[: len(_DATA)].lower() != _DATA:
                        raise BadRequest(
                            "only data: is taken here, nothing is fetched; send the content itself",
                            code="url_not_allowed",
                            param=f"messages[{number}].content[{place}].{path}",
                        )


def _addresses(part: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what a part names, with the path to it."""
    for outer, value in part.items():
        if isinstance(value, str) and outer in _NAMES:
            yield outer, value
        elif isinstance(value, dict):
            for inner, below in value.items():
                if isinstance(below, str) and inner in _NAMES:
                    yield f"{outer}.{inner}", below
