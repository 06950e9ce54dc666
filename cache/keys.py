"""What decides an answer -> the key under which it is kept.

Pure. Exact: two requests share a key only when every byte that can change the answer is the same.
Knows nothing of stores, of JSON (the fields come already split) or of whether a reply may be kept.
"""

from collections.abc import Iterable
from hashlib import blake2b
from operator import itemgetter
from struct import pack
from typing import Final

# Fields of the OpenAI API that say who asks or what to file, and never change the bytes of the answer.
# `stream_options` does change them and so is part of the key.
WITHOUT_EFFECT: Final = frozenset({"user", "metadata", "store", "safety_identifier", "prompt_cache_key"})

_PERSON: Final = b"tandem-key-1"
_DIGEST_BYTES: Final = 32
_name_of = itemgetter(0)


def reply_key(
    secret: bytes,
    *,
    tenant: str,
    path: str,
    fields: Iterable[tuple[str, bytes]],
    policy: str,
    tier: str,
) -> bytes:
    """Return the key of one request's reply; nobody without the secret can make or test it.

    Args:
        secret: at most 64 bytes; shared by all who share a store.
        tenant: from the caller's key alone, never empty.
        path: below "/v1", such as "/chat/completions".
        fields: the request's top-level JSON fields, name and value as it came; in any order.
        policy: "name@version" of what chose the tier.
        tier: the tier chosen.

    Returns:
        32 bytes.

    Raises:
        ValueError: there is no tenant, so nothing may be kept or looked up.
    """
    if not tenant:
        raise ValueError("tenant is empty: a reply is only kept for a tenant, skip the cache")
    parts = [_bytes_of(tenant), _bytes_of(path), _bytes_of(policy), _bytes_of(tier)]
    # Sorted by name alone: of two fields with one name the order stays, because the last of them counts.
    for name, value in sorted(fields, key=_name_of):
        if name not in WITHOUT_EFFECT:
            parts += (_bytes_of(name), value)
    # All lengths stand in front, so that no byte can move from one part to its neighbour unseen.
    lengths = pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts))
    parts.insert(0, lengths)
    return blake2b(b"".join(parts), key=secret, person=_PERSON, digest_size=_DIGEST_BYTES).digest()


def _bytes_of(text: str) -> bytes:
    # JSON can spell half a surrogate pair; it must yield a key of its own, not an error.
    return text.encode("utf-8", "surrogatepass")
