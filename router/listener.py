"""Bytes of a connection -> requests for the application, within limits.

uvicorn's own HTTP protocol, but for what it leaves open: a bound on the head, and refusals in the one
shape that every error of the gateway has.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from router.endpoints.errors import plain_error

MAX_HEADERS = 100
MAX_HEAD = 32 * 1024  # bytes
MAX_URL = 8 * 1024  # bytes


class _HeadTooLargeError(Exception):
    """Stops the parser; the answer was already sent."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _head = 0

    def on_message_begin(self) -> None:
        """Start counting anew for each request."""
        super().on_message_begin()
        self._head = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._refuse(414, f"the URL is longer than {MAX_URL} bytes", "url_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        super().on_header(name, value)
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD or len(self.headers) > MAX_HEADERS:
            self._refuse(431, f"the head has over {MAX_HEADERS} headers or {MAX_HEAD} bytes", "head_too_large")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the parser's words are not for callers)
        """Refuse what is not HTTP, unless it was refused already."""
        if not self.transport.is_closing():
            self._write(400, "the request is not valid HTTP/1.1", "invalid_http")

    def _refuse(self, status: int, message: str, code: str) -> None:
        self._write(status, message, code)
        raise _HeadTooLargeError  # reaches the parser, which stops and reports an error

    def _write(self, status: int, message: str, code: str) -> None:
        error = plain_error(status, message, code=code)
        head = b"".join(b"%s: %s\r\n" % header for header in error.headers)
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(error.body)
        self.transport.write(STATUS_LINE[status] + head + length + error.body)
        self.transport.close()
