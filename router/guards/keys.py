"""Request head -> tenant; the tenant comes from the key and from nothing else.

Fails closed. Knows no key, only SHA-256 digests of keys. Whatever is wrong with a key, the caller reads the
same sentence: an answer that tells a malformed key from an unknown one helps only whoever is guessing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from router.base import BadRequest, Unauthorized

DEFAULT_TENANT: Final = "default"
MAX_HEADER = 4_096  # bytes; nothing longer is hashed

_SCHEME = b"bearer "


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
            BadRequest: more than one Authorization header; a proxy and we might each read another one.
            Unauthorized: no key that is known.
        """
        if not self._tenants:
            return DEFAULT_TENANT
        sent = [value for name, value in headers if name == b"authorization"]
        if len(sent) > 1:
            raise BadRequest("more than one authorization header; send one", code="duplicate_authorization")
        tenant = self._tenants.get(_digest(sent[0])) if sent else None
        if tenant is None:
            raise Unauthorized(
                'no valid API key; send "Authorization: Bearer KEY" with a key of this gateway', code="invalid_api_key"
            )
        return tenant


def _digest(header: bytes) -> bytes:
    """Return the digest of the key in a header, or no digest at all where the header is malformed."""
    if len(header) > MAX_HEADER or not header.isascii() or header[: len(_SCHEME)].lower() != _SCHEME:
        return b""
    key = header[len(_SCHEME) :].strip(b" ")
    return hashlib.sha256(key).digest() if key else b""
