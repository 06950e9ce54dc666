"""What a caller says of whose request it is -> digests of the user and of the conversation.

They hold requests together in the ledger, in experiments and in statistics, and tell nobody who it was but those who
can guess a name and try it. Names of two tenants never give the same digest.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw

from router.base import BadRequest

HEADER: Final = b"x-tandem-conversation"
LONGEST: Final = 512  # bytes of a name; a longer one is no name

_USER_FIELDS: Final = ("safety_identifier", "user")
_DIGEST_BYTES: Final = 8
_read_text: Final = msgspec.json.Decoder(str).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)


class _Metadata(msgspec.Struct):
    conversation_id: str = ""


_read_metadata: Final = msgspec.json.Decoder(_Metadata | None).decode


def user_of(fields: Mapping[str, Raw], tenant: str) -> str:
    """Return the digest of the user that the body names, 16 hexadecimal digits; "" where it names none."""
    for name in _USER_FIELDS:
        said = fields.get(name)
        if said is not None:
            try:
                return digest_of(_read_text(said).encode("utf-8", "surrogatepass"), tenant, "user")
            except _UNREADABLE:  # a shape that we do not know is left to the backend
                return ""
    return ""


def conversation_of(headers: Mapping[bytes, bytes], fields: Mapping[str, Raw], tenant: str) -> str:
    """Return the digest of the conversation that the header or else the metadata name; "" where none is named.

    Raises:
        BadRequest: the header's name is too long.
    """
    said = headers.get(HEADER)
    if said is not None:
        if len(said) > LONGEST:
            name = HEADER.decode()
            raise BadRequest(f"{name} is longer than {LONGEST} bytes", code="invalid_value", param=name)
        return digest_of(said.strip(), tenant, "conversation")
    metadata = fields.get("metadata")
    if metadata is None:
        return ""
    try:
        found = _read_metadata(metadata)
    except _UNREADABLE:
        return ""
    return (
        ""
        if found is None
        else digest_of(found.conversation_id.encode("utf-8", "surrogatepass"), tenant, "conversation")
    )


def digest_of(name: bytes, tenant: str, kind: str) -> str:
    """Return 16 hexadecimal digits for a name of a tenant's; "" for an empty one, or one that is too long."""
    if not name or len(name) > LONGEST:
        return ""
    key = tenant.encode("utf-8", "surrogatepass")[:64]
    return blake2b(name, digest_size=_DIGEST_BYTES, key=key, person=kind.encode()[:16]).hexdigest()
