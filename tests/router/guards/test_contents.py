"""Tests `router/guards/contents.py`."""

import pytest

from router.base import BadRequest
from router.guards.contents import refuse_addresses

PARTS = {
    "image": {"type": "image_url", "image_url": {"url": "{}"}},
    "image of the responses kind": {"type": "input_image", "image_url": "{}"},
    "video": {"type": "video_url", "video_url": {"url": "{}"}},
    "audio": {"type": "audio_url", "audio_url": {"url": "{}"}},
    "file": {"type": "input_file", "file_url": "{}"},
    "a kind that is not known": {"type": "hologram", "hologram": {"url": "{}"}},
}
ADDRESSES = (
    "http://127.0.0.1/", "https://example.com/x.png", "file:///etc/passwd", "gopher://x", "//example.com/x", "",
    " data:image/png;base64,AA==", "DATA\t:x", "http://[::ffff:127.0.0.1]/", "http://2130706433/",
)  # fmt: skip


def asked(part: object, address: str) -> list[object]:
    """Return messages in whose second one a part names this address."""
    return [{"role": "system", "content": "hi"}, {"role": "user", "content": [{"type": "text"}, _with(part, address)]}]


def _with(part: object, address: str) -> object:
    if isinstance(part, dict):
        return {name: _with(value, address) for name, value in part.items()}
    return address if part == "{}" else part


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind", PARTS)
def test_whatever_a_backend_would_fetch_is_refused_with_its_path(kind: str, address: str) -> None:
    with pytest.raises(BadRequest) as refused:
        refuse_addresses(asked(PARTS[kind], address))
    assert refused.value.code == "url_not_allowed"
    assert str(refused.value.param).startswith("messages[1].content[1].")
    assert address not in str(refused.value) or not address


@pytest.mark.parametrize("address", ["data:image/png;base64,AA==", "DATA:,x"])
@pytest.mark.parametrize("kind", PARTS)
def test_content_that_comes_along_passes(kind: str, address: str) -> None:
    refuse_addresses(asked(PARTS[kind], address))


def test_texts_may_speak_of_addresses_and_other_shapes_are_the_backends_affair() -> None:
    refuse_addresses(
        [{"content": "see http://127.0.0.1/"}, {"content": [{"type": "text", "text": "http://x"}, "x", 7]}]
    )
    refuse_addresses([{"content": [{"type": "file", "file": {"file_id": "file-1", "url": 7}}]}, 7, {}])
