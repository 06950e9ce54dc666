"""A URL -> where a Redis is and how to enter.

No I/O. The options that client libraries read from a URL (their timeouts, their retries) are refused.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

_DEFAULT_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to enter.

    Attributes:
        path: of a unix socket; "" for TCP.
        username, password: "" where none is needed.
    """

    host: str = ""
    port: int = _DEFAULT_PORT
    path: str = ""
    tls: bool = False
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)


def read_address(url: str) -> Address:
    """Return the address that a URL names.

    Args:
        url: `redis://[user:password@]host[:port][/database]`, the same with `rediss://` for TLS, or
            `unix://[user:password@]/path/of/socket`.

    Raises:
        ValueError: it names none; the message holds no part of the URL, for it may hold a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("redis url has an unknown scheme: write redis://, rediss:// or unix://")
    if parts.query or parts.fragment:
        raise ValueError("redis url has options after its path: leave out what follows '?' or '#'")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix":
        return Address(path=unquote(parts.path), username=username, password=password)
    try:
        port, database = parts.port or _DEFAULT_PORT, int(parts.path.strip("/") or 0)
    except ValueError:
        # Without its cause, which quotes the URL: with an unescaped '/' in a password that is a part of it.
        raise ValueError("redis url has no whole number as port or database; escape '/', '@', ':' by %xx") from None
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=port,
        tls=parts.scheme == "rediss",
        database=database,
        username=username,
        password=password,
    )
