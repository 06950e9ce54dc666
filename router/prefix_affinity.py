"""Request -> who holds its conversation's KV; what an answer reports -> the same, learned.

One memory for each tier, each bounded in bytes. Tenants share nothing: all that is remembered, and all KV that engines
may share, is told apart by a salt that is made of the tenant with a secret of this installation, and never by the
tenant's name, which stays here.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from backends.base import Usage
from cache.holders import Holders, HolderStats
from cache.prefix_keys import keys_of
from router.base import Prefix, Request, Tier

MAX_BYTES: Final = 32 << 20
"""For both tiers together: some eighty thousand beginnings."""

SALT_BYTES: Final = 16

_PERSON: Final = b"tandem-salt-1"
_FRAME: Final = frozenset({"tools", "functions", "chat_template_kwargs"})  # a template writes them before the messages
_NEWEST: Final = 1 / 64  # weight of the newest answer in the average of their lengths


class PrefixAffinity:
    """What is known of all conversations; touched by the loop alone.

    Args:
        secret: at most 64 bytes; processes that share engines need one in common, or their KV is not shared.
        max_bytes: for all that is remembered.
        looks: somebody heeds who holds what; where not, requests get their salt and nothing more.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        max_bytes: int = MAX_BYTES,
        looks: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret = secret
        self._looks = looks
        self._salts: dict[str, str] = {}  # one for each tenant, of whom the configuration names all
        self._holders = {tier: Holders(max_bytes // len(Tier), clock=clock) for tier in Tier}
        self._large, self._mini = self._holders[Tier.LARGE], self._holders[Tier.MINI]
        self._output = dict.fromkeys(Tier, 0.0)

    def salt_of(self, tenant: str) -> str:
        """Return 32 hexadecimal digits."""
        salt = self._salts.get(tenant)
        if salt is None:
            name = tenant.encode("utf-8", "surrogatepass")
            salt = blake2b(name, key=self._secret, digest_size=SALT_BYTES, person=_PERSON).hexdigest()
            self._salts[tenant] = salt
        return salt

    def find(self, request: Request) -> Prefix:
        """Return what is known of the request's conversation; changes nothing."""
        salt, turns = self.salt_of(request.tenant), request.prompt.turns
        if not self._looks or not turns:
            return Prefix(salt)
        fields = request.fields
        frame = () if _FRAME.isdisjoint(fields) else [bytes(fields[name]) for name in sorted(_FRAME) if name in fields]
        keys = keys_of(salt, turns, frame=frame)
        output = max(self._output.values())
        return Prefix(salt, keys, self._large.holder(keys), self._mini.holder(keys), int(output))

    def marked(self, request: Request) -> Request:
        """Return the request with what is known of its conversation."""
        return replace(request, prefix=self.find(request))

    def learn(self, request: Request, tier: Tier, replica: str, usage: Usage | None) -> None:
        """Take what an answer to a marked request reports; one without usage, or of no named replica, tells nothing."""
        prefix = request.prefix
        if prefix.keys is None or usage is None or not replica:
            return
        self._holders[tier].learn(
            prefix.keys,
            prefix.held(tier),
            replica,
            prompt_tokens=usage.total_input,
            cached_tokens=usage.cached_input,
        )
        before, output = self._output[tier], usage.total_output
        self._output[tier] = before + (output - before) * _NEWEST if before else float(output)

    def stats(self) -> dict[Tier, HolderStats]:
        """Return the counters as they are now."""
        return {tier: holders.stats() for tier, holders in self._holders.items()}
