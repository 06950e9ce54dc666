"""Headers and tenant -> who goes first where requests wait for room.

The file says how high a tenant may go; a request can ask for less, so that a tenant puts its own work in order and
never gets ahead of others by a header.
"""

import re
from collections.abc import Mapping
from typing import Final

from router.base import BadRequest

HEADER: Final = b"x-tandem-priority"
LOWEST: Final = -100
HIGHEST: Final = 100

_NUMBER: Final = re.compile(rb"[ \t]*([+-]?[0-9]{1,3})[ \t]*")


class Priorities:
    """Priorities of tenants; one that is not named has 0."""

    def __init__(self, by_tenant: Mapping[str, int] | None = None) -> None:
        self._by_tenant = {tenant: priority for tenant, priority in (by_tenant or {}).items() if priority}

    def of(self, tenant: str, headers: Mapping[bytes, bytes]) -> int:
        """Return the request's.

        Raises:
            BadRequest: what it asks for is no such number.
        """
        own = self._by_tenant.get(tenant, 0)
        sent = headers.get(HEADER)
        if sent is None:
            return own
        found = _NUMBER.fullmatch(sent)
        asked = None if found is None else int(found[1])
        if asked is None or not LOWEST <= asked <= HIGHEST:
            name = HEADER.decode()
            said = f"{name} must be a whole number from {LOWEST} to {HIGHEST}, and is at most your tenant's {own}"
            raise BadRequest(said, code="invalid_value", param=name)
        return min(asked, own)
