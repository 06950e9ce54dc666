"""Parts of what is said: as Responses name them <-> as chat completions do.

A part of a type that neither names passes as it came, since some engine may know it.
"""

from typing import Any, Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, needed, objects, text

_OUR_WORDS: Final = frozenset({"type", "text", "annotations", "logprobs"})
_OF_IMAGES: Final = frozenset({"type", "image_url", "detail", "file_id"})
_FILE_BYTES: Final = ("file_data", "file_id", "filename")
_OF_FILES: Final = frozenset({"type", "detail", "file_url", *_FILE_BYTES})
TEXTS: Final = ("input_text", "output_text", "text")


def to_chat_content(content: object, param: str) -> str | list[Fields]:
    """Return the content of a message or of a tool's output; a single text stands alone, as every engine knows it.

    Raises:
        DialectError: it is neither a text nor a list of parts, or a part cannot be said in chat completions.
    """
    if isinstance(content, str):
        return content
    parts = [_to_chat(part, at) for part, at in objects(content, param)]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return text(parts[0]["text"], param)
    return parts


def _to_chat(part: Fields, param: str) -> Fields:
    match needed(part, "type", param):
        case "input_text" | "output_text" | "text":
            words = text(needed(part, "text", param), f"{param}.text")
            return {"type": "text", "text": words, **_others(part, _OUR_WORDS)}
        case "input_image":
            return _image(part, param)
        case "input_file":
            return _file(part, param)
        case _:
            return part


def _image(part: Fields, param: str) -> Fields:
    url = part.get("image_url")
    if url is None:
        raise DialectError(
            f"{param} has no image_url: no file is kept here, send the image as a URL or as data:",
            code="unsupported",
            param=f"{param}.file_id" if part.get("file_id") else f"{param}.image_url",
        )
    image = {"url": text(url, f"{param}.image_url")}
    if part.get("detail") is not None:
        image["detail"] = text(part["detail"], f"{param}.detail")
    return {"type": "image_url", "image_url": image, **_others(part, _OF_IMAGES)}


def _file(part: Fields, param: str) -> Fields:
    if part.get("file_url") is not None:
        raise DialectError(
            f"{param}.file_url is fetched by nobody here: send file_data", code="unsupported", param=f"{param}.file_url"
        )
    file = {name: text(part[name], f"{param}.{name}") for name in _FILE_BYTES if part.get(name) is not None}
    return {"type": "file", "file": file, **_others(part, _OF_FILES)}


def from_chat_content(content: object, param: str, *, spoken: bool = False) -> str | list[Fields]:
    """Return the content of a chat message in the words of Responses.

    Args:
        spoken: by the model itself.

    Raises:
        DialectError: as `to_chat_content`, the other way.
    """
    if isinstance(content, str):
        return content
    return [_from_chat(part, at, "output_text" if spoken else "input_text") for part, at in objects(content, param)]


def _from_chat(part: Fields, param: str, kind: str) -> Fields:
    match needed(part, "type", param):
        case "text":
            return {**part, "type": kind}
        case "image_url":
            image = needed(part, "image_url", param)
            image = {"url": image} if isinstance(image, str) else image
            if not isinstance(image, dict) or not isinstance(image.get("url"), str):
                raise DialectError(f"{param}.image_url has no url", code="invalid_type", param=f"{param}.image_url")
            detail: Any = image.get("detail") or "auto"
            return {"type": "input_image", "image_url": image["url"], "detail": detail}
        case "file":
            file = needed(part, "file", param)
            if not isinstance(file, dict):
                raise DialectError(f"{param}.file is no object", code="invalid_type", param=f"{param}.file")
            return {"type": "input_file", **file}
        case _:
            return part


def _others(part: Fields, known: frozenset[str]) -> Fields:
    return {name: value for name, value in part.items() if name not in known}
