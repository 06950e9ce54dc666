"""Request head -> tenant; the tenant comes from the key and from nothing else.

Fails closed. Knows no key, only SHA-256 digests of keys. Whatever is wrong with a key, the caller reads the
same sentence: an answer that tells a malformed key from an unknown one helps only whoever is guessing.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from router.base import BadRequest, Unauthorized

DEFAULT_TENANT: Final = "default"
MAX_HEADER = 4_096  # bytes; nothing longer is hashed

_SCHEME = b"bearer "
_AUTHORIZATION: Final = b"authorization"
_HEADERS: Final = (_AUTHORIZATION, b"x-api-key")
"""Clients of OpenAI's API send the one, those of Anthropic's the other."""


class Keys:
    """Tenants by the digest of their key; an empty ring needs no key and knows one tenant."""

    def __init__(self, keyring: Mapping[bytes, str]) -> None:
        """Take a ring of SHA-256 digests (32 bytes each) to tenants."""
        self._tenants = dict(keyring)

    def tenant_of(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return whose request this is.

        The look-up is a dictionary's and not a comparison in constant time. It compares digests: to learn
        from its timing, a caller would have to choose the digest of what they send, and so to invert SHA-256.

        Args:
            headers: of the request, names in lower case as ASGI gives them.

        Raises:
            BadRequest: more than one key; a proxy and we might each read another one.
            Unauthorized: no key that is known.
        """
        if not self._tenants:
            return DEFAULT_TENANT
        sent = [header for header in headers if header[0] in _HEADERS]
        if len(sent) > 1:
            _refuse_several(sent)
        tenant = self._tenants.get(_digest(*sent[0])) if sent else None
        if tenant is None:
            raise Unauthorized(
                'no valid API key; send "Authorization: Bearer KEY" with a key of this gateway', code="invalid_api_key"
            )
        return tenant


def _refuse_several(sent: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse two keys; one that stands in both headers is one key."""
    if len({name for name, _ in sent}) < len(sent):
        raise BadRequest("more than one authorization or x-api-key header; send one", code="duplicate_authorization")
    if len({_digest(*header) for header in sent}) > 1:
        raise BadRequest(
            "authorization and x-api-key hold different keys; send one of them", code="duplicate_authorization"
        )


def _digest(name: bytes, header: bytes) -> bytes:
    """Return the digest of the key in a header, or no digest at all where the header is malformed."""
    if len(header) > MAX_HEADER or not header.isascii():
        return b""
    if name == _AUTHORIZATION:
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return b""
        header = header[len(_SCHEME) :].strip(b" ")
    return hashlib.sha256(header).digest() if header else b""
