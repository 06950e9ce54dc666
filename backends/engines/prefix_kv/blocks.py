"""Token ids of a prompt -> keys of its blocks, and a block's bytes with the proof of what they belong to.

Pure, and knows no engine: what the bytes of a block are is the engine's affair. A block's key depends on all tokens
before it, on what computed them and on who may share them; its value repeats its token ids, which are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import pack
from typing import Final

_KEY_BYTES: Final = 32
_HEAD: Final = b"kv1"  # changes whenever the bytes behind it would be read differently
_COUNT_BYTES: Final = 4
_ID_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Namespace:
    """What KV is good for: all who compute the same numbers from the same tokens.

    Attributes:
        model: digest of its weights and configuration.
        storage: dtype that KV is computed in and how it is stored, such as "float32/int8".
        adapter: digest of its weights, since names change hands; "" is the model itself.
        page: tokens of one block.
        engine: name and version of what lays out the bytes.
    """

    model: bytes
    storage: str
    adapter: str
    page: int
    engine: str

    def root(self, salt: str) -> bytes:
        """Return the parent of first blocks; without the salt nobody can make or test it, or any key after it."""
        parts = (self.model, self.storage.encode(), self.adapter.encode("utf-8", "surrogatepass"), self.engine.encode())
        # All lengths stand in front, so that no byte can move from one part to its neighbour unseen.
        data = pack("<5Q", self.page, *map(len, parts)) + b"".join(parts)
        return blake2b(data, key=_key_of(salt), digest_size=_KEY_BYTES, person=b"tandem-kv-root-1").digest()


def block_keys(namespace: Namespace, salt: str, ids: Sequence[int]) -> list[bytes]:
    """Return the key of each full block, first to last; tokens that fill no block have none."""
    key, parent = _key_of(salt), namespace.root(salt)
    tokens, step = bytes_of(ids), namespace.page * _ID_BYTES
    keys: list[bytes] = []
    for start in range(0, len(tokens) - step + 1, step):
        parent = blake2b(parent + tokens[start : start + step], key=key, digest_size=_KEY_BYTES).digest()
        keys.append(parent)
    return keys


def bytes_of(ids: Sequence[int]) -> bytes:
    """Return token ids as they stand in keys and values."""
    return pack(f"<{len(ids)}I", *ids)


def pack_block(tokens: bytes, content: bytes | memoryview) -> bytes:
    """Return the value of one block.

    Args:
        tokens: of this block alone, as `bytes_of` returns them.
    """
    return b"".join((_HEAD, len(tokens).to_bytes(_COUNT_BYTES, "little"), tokens, content))


def open_block(value: bytes, tokens: bytes, *, size: int) -> memoryview | None:
    """Return a block's content; None where it is of other tokens, another size or another layout."""
    head = len(_HEAD) + _COUNT_BYTES + len(tokens)
    if len(value) != head + size or not value.startswith(pack_block(tokens, b"")):
        return None
    return memoryview(value)[head:]


def _key_of(salt: str) -> bytes:
    return blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES, person=b"tandem-kv-salt-1").digest()
