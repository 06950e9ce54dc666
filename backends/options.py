"""What can be chosen of a backend -> the backend.

Knows the keys of the configuration, not the file they stand in.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from backends.base import Backend
from backends.capabilities import Capabilities
from backends.history.options import HistoryOptions
from backends.replicas.options import ReplicaOptions, Seconds

_LOWEST_PRINTABLE: Final = "!"
_HIGHEST_PRINTABLE: Final = "~"
_MESSAGES_HEADERS: Final = "anthropic-version: 2023-06-01\r\n"


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"url has the scheme {parts.scheme!r}: use http or https")
    if not parts.hostname or parts.port == 0:
        raise ValueError("url names no host or port 0: write it as http://host:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("url has a user, a query or a fragment: give host and path, and the key as api_key")
    if not _is_plain(url):
        raise ValueError("url has a space or a character that is not ASCII: quote it")
    return url.rstrip("/")


def _all_different(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if urls.count(url) > 1:
            raise ValueError(f"{url} stands there {urls.count(url)} times: name each replica once")
    return urls


def _header_safe(key: SecretStr) -> SecretStr:
    if not _is_plain(key.get_secret_value()):
        raise ValueError(
            "api_key is empty, or has a space or a character that is not printable ASCII: check for a line end"
        )
    return key


def _is_plain(text: str) -> bool:
    return bool(text) and all(_LOWEST_PRINTABLE <= character <= _HIGHEST_PRINTABLE for character in text)


class HttpOptions(ReplicaOptions):
    """A server that speaks the OpenAI API, or several replicas of it; what concerns them stands with the parent.

    Attributes:
        urls: base URLs of the replicas, with the path below which the endpoints lie, such as "/v1".
        model: the name by which the server knows its model.
        price: the model's entry in the price book.
        connect_timeout: seconds.
        first_byte_timeout: seconds; an unstreamed answer sends its first byte when it is whole.
        idle_timeout: seconds between two pieces of a reply.
        capabilities: what the server can; it is spared what is said here to be missing.
        sends_cache_salt: the server knows the field `cache_salt`, as vLLM and SGLang do, and shares prefix KV only
            between requests of one salt; each tenant's requests then bear their own.
        history: what its model takes of conversations that other models were part of.
        dialect: what the server speaks: chat completions, or else Responses or Messages alone; it is asked in that and
            answers as if it were chat completions.
    """

    use: Literal["openai_http"]
    urls: Annotated[
        tuple[Annotated[str, AfterValidator(_base_url)], ...], Field(min_length=1), AfterValidator(_all_different)
    ]
    model: Annotated[str, Field(min_length=1)]
    price: Annotated[str, Field(min_length=1)]
    api_key: Annotated[SecretStr, AfterValidator(_header_safe)] | None = None
    connect_timeout: Seconds = 1.0
    first_byte_timeout: Seconds = 60.0
    idle_timeout: Seconds = 30.0
    capabilities: Capabilities = Capabilities()
    sends_cache_salt: bool = False
    history: HistoryOptions = HistoryOptions()
    dialect: Literal["chat", "responses", "messages"] = "chat"

    def build(self) -> Backend:
        """Return the backend; it opens no connection before the first call."""
        from backends.openai_http import Access, servers_of  # noqa: PLC0415 - loaded where it is chosen
        from backends.pool import Spans  # noqa: PLC0415 - likewise
        from backends.replicas.stack import Server, stack_of  # noqa: PLC0415 - likewise

        access = Access(
            api_key=None if self.api_key is None else self.api_key.get_secret_value(),
            spans=Spans(connect=self.connect_timeout, first_byte=self.first_byte_timeout, idle=self.idle_timeout),
            sends_cache_salt=self.sends_cache_salt,
            key_header="x-api-key:" if self.dialect == "messages" else "authorization: Bearer",
            more_headers=_MESSAGES_HEADERS if self.dialect == "messages" else "",
        )
        servers: Sequence[Server] = servers_of(self.urls, access)
        if self.dialect != "chat":
            from backends.dialects.translating import translating  # noqa: PLC0415 - likewise

            servers = [translating(server, self.dialect, name=server.name) for server in servers]
        return stack_of(servers, self, around=self.with_history)

    def with_history(self, backend: Backend) -> Backend:
        """Return the backend, with what its model takes of a history in front of it."""
        if self.history.changes_nothing:
            return backend
        from backends.history.normalising import Normalising  # noqa: PLC0415 - likewise

        return Normalising(backend, self.history)
