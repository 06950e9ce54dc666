"""Request head -> whether the dashboard may be seen.

One password for whoever runs the gateway, sent as HTTP Basic with any user name. Fails closed.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable

MAX_HEADER = 1_024  # bytes

_SCHEME = b"basic "


class Password:
    """What the dashboard asks for."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether these headers carry the password; compared in constant time."""
        sent = [value for name, value in headers if name == b"authorization"]
        if len(sent) != 1 or len(sent[0]) > MAX_HEADER or sent[0][: len(_SCHEME)].lower() != _SCHEME:
            return False
        try:
            pair = base64.b64decode(sent[0][len(_SCHEME) :], validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(pair.partition(b":")[2], self._password)
