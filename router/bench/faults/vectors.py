r"""Hostile and odd requests, byte for byte -> what the gateway must answer.

Each row of the input table has its vectors here. `{key}` in them stands for a key of the gateway; whoever sends them
puts it in. An answer of status 200 is one that reached a backend.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PATH: Final = b"/v1/chat/completions"
_JSON: Final = b"content-type: application/json"
_AUTH: Final = b"authorization: Bearer {key}"
_HOST: Final = b"host: gateway"
_ASK: Final = b'{"model":"mini","messages":[{"role":"user","content":"hi"}]'
_WHOLE: Final = _ASK + b"}"


@dataclass(frozen=True, slots=True)
class Vector:
    """One request.

    Attributes:
        row: of the table that it belongs to.
        statuses: any of them is right.
        code: of the error object; "" where any is right, or none is there.
    """

    row: str
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    code: str = ""

    def bytes_for(self, key: str) -> bytes:
        """Return what is sent."""
        return self.sent.replace(b"{key}", key.encode())


def post(body: bytes, *headers: bytes, target: bytes = PATH, version: bytes = b"HTTP/1.1") -> bytes:
    """Return a whole POST: the usual headers, these, and the body's length."""
    lines = [b"POST %b %b" % (target, version), _HOST, _AUTH, _JSON, *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", b""]) + body


def _bare(*lines: bytes, body: bytes = b"", target: bytes = PATH) -> bytes:
    """Return a POST with these headers and no others but host, key and media type."""
    return b"\r\n".join([b"POST %b HTTP/1.1" % target, _HOST, _AUTH, _JSON, *lines, b"", b""]) + body


def _framing() -> Iterator[Vector]:
    whole, n = _WHOLE, len(_WHOLE)
    chunked = b"transfer-encoding: chunked"
    chunk = b"%x\r\n%b\r\n" % (n, whole)
    bad = {
        "length and chunks": _bare(b"content-length: %d" % n, chunked, body=chunk + b"0\r\n\r\n"),
        "two lengths": _bare(b"content-length: %d" % n, b"content-length: 1", body=whole),
        "two equal lengths": _bare(b"content-length: %d" % n, b"content-length: %d" % n, body=whole),
        "a list of lengths": _bare(b"content-length: %d, %d" % (n, n), body=whole),
        "a signed length": _bare(b"content-length: +%d" % n, body=whole),
        "a negative length": _bare(b"content-length: -1", body=whole),
        "a hexadecimal length": _bare(b"content-length: 0x%x" % n, body=whole),
        "an empty length": _bare(b"content-length: ", body=whole),
        "a length in words": _bare(b"content-length: many", body=whole),
        "a length beyond 64 bits": _bare(b"content-length: " + b"9" * 30, body=whole),
        "a chunk of no number": _bare(chunked, body=b"zz\r\n" + whole),
        "a negative chunk": _bare(chunked, body=b"-1\r\n" + whole),
        "a chunk with a prefix": _bare(chunked, body=b"0x%x\r\n%b\r\n0\r\n\r\n" % (n, whole)),
        "a chunk beyond 64 bits": _bare(chunked, body=b"f" * 20 + b"\r\n" + whole),
        "a chunk without its end": _bare(chunked, body=b"%x\r\n%bXX0\r\n\r\n" % (n, whole)),
        "chunks not last": _bare(b"transfer-encoding: chunked, identity", body=chunk + b"0\r\n\r\n"),
        "an unknown coding": _bare(b"transfer-encoding: xchunked", body=chunk + b"0\r\n\r\n"),
        "a NUL in a header": _bare(b"x: a\0b", b"content-length: %d" % n, body=whole),
        "a bare CR in a header": _bare(b"x: a\rb", b"content-length: %d" % n, body=whole),
        "a folded header": _bare(b"x: a\r\n b", b"content-length: %d" % n, body=whole),
        "a blank before the colon": _bare(b"content-length : %d" % n, body=whole),
        "a header without a name": _bare(b": x", b"content-length: %d" % n, body=whole),
        "a header without a colon": _bare(b"hello", b"content-length: %d" % n, body=whole),
        "a blank in a name": _bare(b"x y: z", b"content-length: %d" % n, body=whole),
        "bare line feeds": _bare(b"content-length: %d" % n, body=whole).replace(b"\r\n", b"\n"),
        "a protocol that is none": post(whole, version=b"HTCPCP/1.0"),
        "HTTP/3.0 in words": post(whole, version=b"HTTP/3.0"),
        "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x7f" * 64 + b"\r\n\r\n",
        "another protocol": b"EHLO example\r\n\r\n",
    }
    for name, sent in bad.items():
        yield Vector("framing", name, sent, (400,))
    yield Vector("framing", "no version", b"POST " + PATH + b"\r\n\r\n", (400, 401))
    yield Vector("framing", "chunks", _bare(chunked, body=chunk + b"0\r\n\r\n"), (200,))
    yield Vector(
        "framing", "an extension of a chunk", _bare(chunked, body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (n, whole)), (200,)
    )


def _heads() -> Iterator[Vector]:
    yield Vector("head size", "101 headers", post(_WHOLE, *(b"x-%d: y" % number for number in range(101))), (431,))
    yield Vector("head size", "33 kB in one header", post(_WHOLE, b"x: " + b"y" * 33_000), (431,))
    yield Vector("head size", "33 kB in ten headers", post(_WHOLE, *(b"x: " + b"y" * 3_300 for _ in range(10))), (431,))
    yield Vector("head size", "a name of 33 kB", post(_WHOLE, b"x" * 33_000 + b": y"), (431,))
    yield Vector("head size", "a URL of 9 kB", post(_WHOLE, target=PATH + b"?" + b"a" * 9_000), (414,))
    yield Vector("head size", "a URL of 70 kB", post(_WHOLE, target=PATH + b"?" + b"a" * 70_000), (414,))


def _targets() -> Iterator[Vector]:
    bad = {
        "no host": b"\r\n".join([b"POST " + PATH + b" HTTP/1.1", _AUTH, _JSON, b"content-length: 0", b"", b""]),
        "two hosts": post(_WHOLE, b"host: other"),
        "a host with a path": post(_WHOLE).replace(_HOST, b"host: gateway/x"),
        "a host with a user": post(_WHOLE).replace(_HOST, b"host: user@gateway"),
        "a host with a blank": post(_WHOLE).replace(_HOST, b"host: gate way"),
        "an @ as target": post(_WHOLE, target=b"@other" + PATH),
        "two slashes": post(_WHOLE, target=b"/" + PATH),
        "a quoted slash": post(_WHOLE, target=b"/v1%2fchat%2fcompletions"),
        "a quoted NUL": post(_WHOLE, target=PATH + b"%00"),
        "dots": post(_WHOLE, target=b"/v1/models/../chat/completions"),
        "quoted dots": post(_WHOLE, target=b"/v1/models/%2e%2e/chat/completions"),
        "a backslash": post(_WHOLE, target=b"/v1\\chat\\completions"),
        "a semicolon": post(_WHOLE, target=PATH + b";x=y"),
        "a slash at the end": post(_WHOLE, target=PATH + b"/"),
        "capitals": post(_WHOLE, target=b"/V1/Chat/Completions"),
        "a star": post(_WHOLE, target=b"*"),
        "nothing": post(_WHOLE, target=b"/"),
    }
    for name, sent in bad.items():
        yield Vector("host and target", name, sent, (400, 404, 405))
    quoted = post(_WHOLE, target=b"/v1/ch%61t/completions")  # the same path to RFC 3986
    yield Vector("host and target", "a quoted letter", quoted, (200, 400, 404))
    absolute = post(_WHOLE, target=b"http://other" + PATH)
    yield Vector("host and target", "another server's URL", absolute, (400, 404))


def _upgrades() -> Iterator[Vector]:
    for name in (b"h2c", b"websocket", b"TLS/1.0", b"x"):
        sent = post(_WHOLE, b"connection: upgrade", b"upgrade: " + name)
        yield Vector("upgrade", f"an upgrade to {name.decode()}", sent, (200,))
    settings = post(_WHOLE, b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQ")
    yield Vector("upgrade", "an upgrade with settings", settings, (200,))
    yield Vector("upgrade", "an expectation", post(_WHOLE, b"expect: 100-continue"), (100, 200))


def _media() -> Iterator[Vector]:
    for name, line in {
        "text": b"content-type: text/plain",
        "a form": b"content-type: application/x-www-form-urlencoded",
        "parts": b"content-type: multipart/form-data; boundary=x",
        "another charset": b"content-type: application/json; charset=utf-16",
        "a charset in words": b"content-type: application/json; charset=klingon",
        "a type of two": b"content-type: application/json, text/plain",
    }.items():
        yield Vector("media type", name, post(_WHOLE).replace(_JSON, line), (415,))
    yield Vector("media type", "none", post(_WHOLE).replace(_JSON + b"\r\n", b""), (415,))
    for coding in (b"gzip", b"br", b"deflate", b"zstd", b"gzip, gzip", b"x"):
        sent = post(_WHOLE, b"content-encoding: " + coding)
        yield Vector("media type", f"a body in {coding.decode()}", sent, (415,))
    yield Vector("media type", "UTF-8 said aloud", post(_WHOLE).replace(_JSON, _JSON + b'; charset="UTF-8"'), (200,))


def _sizes() -> Iterator[Vector]:
    long = 5 << 20
    yield Vector("size", "5 MiB announced", _bare(b"content-length: %d" % long, body=_WHOLE), (413,), "body_too_large")
    frames = b"".join(b"10000\r\n" + b" " * 65_536 + b"\r\n" for _ in range(80))
    chunked = _bare(b"transfer-encoding: chunked", body=frames + b"0\r\n\r\n")
    yield Vector("size", "5 MiB in chunks", chunked, (413,), "body_too_large")


def _syntax() -> Iterator[Vector]:
    for name, body in {
        "nothing": b"",
        "a part": _ASK,
        "something behind it": _WHOLE + b"x",
        "two documents": _WHOLE + _WHOLE,
        "a comment": _ASK + b"/* x */}",
        "a comma at the end": _ASK + b",}",
        "single quotes": _WHOLE.replace(b'"', b"'"),
        "NaN": _ASK + b',"temperature":NaN}',
        "Infinity": _ASK + b',"temperature":Infinity}',
        "a byte order mark": b"\xef\xbb\xbf" + _WHOLE,
        "a control byte": _WHOLE.replace(b"hi", b"h\x01i"),
        "a line end in a text": _WHOLE.replace(b"hi", b"h\ni"),
        "a leading zero": _ASK + b',"seed":01}',
        "a bare word": b"hello",
    }.items():
        yield Vector("JSON syntax", name, post(body), (400,), "invalid_json")
    for name in ("utf-16", "utf-32"):
        yield Vector("JSON syntax", name, post(_WHOLE.decode().encode(name)), (400,))
    for name, body in {"a list": b"[]", "a text": b'"hi"', "a number": b"1", "null": b"null"}.items():
        yield Vector("JSON syntax", f"not an object but {name}", post(body), (400,), "invalid_type")


def _shape() -> Iterator[Vector]:
    nested = _ASK + b',"x":' + b"[" * 65 + b"]" * 65 + b"}"
    yield Vector("JSON shape", "65 levels", post(nested), (400,), "json_too_deep")
    abyss = _ASK + b',"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
    yield Vector("JSON shape", "50,000 levels", post(abyss), (400,), "json_too_deep")
    names = b",".join(b'"%d":1' % number for number in range(10_001))
    yield Vector("JSON shape", "10,001 names", post(_ASK + b',"x":{' + names + b"}}"), (400,), "too_many_keys")
    for name, more in {
        "a name twice": b',"model":"large"}',
        "a name twice by escape": b',"mod\\u0065l":"large"}',
        "a name twice inside": b',"x":[{"y":1,"y":1}]}',
    }.items():
        yield Vector("JSON shape", name, post(_ASK + more), (400,), "duplicate_key")


def _texts() -> Iterator[Vector]:
    for name, text in {
        "half a surrogate pair": b"\\ud800",
        "the other half": b"\\udfff",
        "a pair the wrong way": b"\\udc00\\ud800",
        "a raw surrogate": b"\xed\xa0\x80",
        "invalid UTF-8": b"\xff",
        "an overlong slash": b"\xc0\xaf",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "a cut character": b"\xe2\x82",
    }.items():
        yield Vector("text", name, post(_WHOLE.replace(b"hi", text)), (400,), "invalid_unicode")
    for name, text in {
        "an escaped NUL": b"\\u0000",
        "directions": "\u202eabc\u2066".encode(),
        "no width": "a\u200bb\u200d\ufeff".encode(),
        "a whole pair": b"\\ud83d\\ude00",
        "every plane": "\U0010fffd\U0001f600".encode(),
    }.items():
        yield Vector("text", name, post(_WHOLE.replace(b"hi", text)), (200,))


def _numbers() -> Iterator[Vector]:
    yield Vector("numbers", "a limit of none", post(_ASK + b',"max_tokens":0}'), (200, 400))  # engines differ
    for name, more in {
        "1e999": b',"temperature":1e999}',
        "beyond 64 bits": b',"seed":9223372036854775808}',
        "4,301 digits": b',"seed":' + b"9" * 4_301 + b"}",
        "a negative limit": b',"max_tokens":-1}',
        "a fraction of a token": b',"max_tokens":1.5}',
        "a limit in quotes": b',"max_tokens":"10"}',
        "a limit that is true": b',"max_tokens":true}',
        "n of none": b',"n":0}',
        "n of 10,000": b',"n":10000}',
        "too hot": b',"temperature":2.1}',
        "top_p of 2": b',"top_p":2}',
        "a stream in words": b',"stream":"yes"}',
        "a stream of 1": b',"stream":1}',
    }.items():
        yield Vector("numbers", name, post(_ASK + more), (400,))


def _parameters() -> Iterator[Vector]:
    for name in (
        "api_base",
        "base_url",
        "user_config",
        "extra_headers",
        "chat_template",
        "cache_salt",
        "kv_transfer_params",
    ):
        word = name.encode()
        yield Vector("parameters", name, post(_ASK + b',"%b":"x"}' % word), (400,), "parameter_not_allowed")
        inside = post(_ASK + b',"extra":[{"x":{"%b":null}}]}' % word)
        yield Vector("parameters", f"{name} inside", inside, (400,), "parameter_not_allowed")
    yield Vector("parameters", "unknown ones", post(_ASK + b',"top_k":4,"whatever":{"a":[null]}}'), (200,))


def _messages() -> Iterator[Vector]:
    def asked(*messages: object) -> bytes:
        return post(json.dumps({"model": "mini", "messages": messages}).encode())

    user = {"role": "user", "content": "hi"}
    for name, sent in {
        "none": asked(),
        "a word": post(b'{"model":"mini","messages":"hi"}'),
        "a list of words": asked("hi"),
        "an unknown role": asked({"role": "root", "content": "hi"}),
        "no role": asked({"content": "hi"}),
        "a number as content": asked({"role": "user", "content": 7}),
        "a part without a type": asked({"role": "user", "content": [{"text": "hi"}]}),
        "a result without its call": asked(user, {"role": "tool", "content": "7"}),
        "2,049 of them": asked(*([user] * 2_049)),
        "no messages at all": post(b'{"model":"mini"}'),
    }.items():
        yield Vector("messages", name, sent, (400,))


def _urls() -> Iterator[Vector]:
    for name, url in {
        "a file": "file:///etc/passwd",
        "this machine": "http://127.0.0.1:6379/",
        "the metadata service": "http://169.254.169.254/latest/meta-data/",
        "a private address": "https://10.0.0.1/x.png",
        "a mapped address": "http://[::ffff:127.0.0.1]/",
        "a number for an address": "http://2130706433/",
        "an octal address": "http://0177.0.0.1/",
        "gopher": "gopher://127.0.0.1:70/x",
        "a public address": "https://example.com/x.png",
        "no scheme": "//example.com/x.png",
    }.items():
        part = {"type": "image_url", "image_url": {"url": url}}
        body = {"model": "mini", "messages": [{"role": "user", "content": [part]}]}
        yield Vector("URLs in content", name, post(json.dumps(body).encode()), (400,), "url_not_allowed")
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"model": "mini", "messages": [{"role": "user", "content": [part]}]}
    yield Vector("URLs in content", "data", post(json.dumps(body).encode()), (200,))


def _schemas() -> Iterator[Vector]:
    def asked(schema: object) -> bytes:
        said = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        body = {"model": "mini", "messages": [{"role": "user", "content": "hi"}], "response_format": said}
        return post(json.dumps(body).encode())

    deep: dict[str, object] = {"type": "string"}
    for _ in range(33):
        deep = {"type": "array", "items": deep}
    for name, schema in {
        "a bad pattern": {"type": "string", "pattern": "(["},
        "a circle of references": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        "a reference elsewhere": {"$ref": "http://127.0.0.1:1/schema.json"},
        "33 levels": deep,
        "over 64 kB": {
            "type": "object",
            "properties": {f"name-{number}": {"type": "string"} for number in range(2_500)},
        },
        "no object": "schema",
    }.items():
        yield Vector("schemas", name, asked(schema), (400,))
    yield Vector("schemas", "a plain one", asked({"type": "object", "properties": {"a": {"type": "string"}}}), (200,))


def _models() -> Iterator[Vector]:
    for name, model in {
        "unknown": "gpt-9",
        "another script": "m\u0456ni",
        "a traversal": "../../mini",
        "SQL": "mini' OR 1=1 --",
        "a template": "{{7*7}}",
        "a blank behind it": "mini ",
        "capitals": "MINI",
        "long": "m" * 10_000,
    }.items():
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
        yield Vector("model name", name, post(body), (404,), "model_not_found")
    for name, model in {"line ends": "mini\r\nx-evil: 1", "NUL": "mini\0"}.items():
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
        yield Vector("model name", name, post(body), (400, 404))


def _auth() -> Iterator[Vector]:
    for name, line in {
        "scheme only": b"authorization: Bearer",
        "scheme and a blank": b"authorization: Bearer ",
        "another scheme": b"authorization: Basic {key}",
        "no scheme": b"authorization: {key}",
        "a near miss": b"authorization: Bearer {key}x",
        "not ASCII": "authorization: Bearer schl\u00fcssel".encode(),
        "SQL": b"authorization: Bearer ' OR '1'='1",
        "20 kB": b"authorization: Bearer " + b"k" * 20_000,
    }.items():
        yield Vector("auth", name, post(_WHOLE).replace(_AUTH, line), (401,), "invalid_api_key")
    yield Vector("auth", "none", post(_WHOLE).replace(_AUTH + b"\r\n", b""), (401,), "invalid_api_key")
    yield Vector("auth", "60 kB", post(_WHOLE).replace(_AUTH, b"authorization: Bearer " + b"k" * 60_000), (401, 431))
    yield Vector("auth", "two", post(_WHOLE, _AUTH), (400,))
    yield Vector("auth", "two, one wrong", post(_WHOLE, b"authorization: Bearer other"), (400,))


def _expensive() -> Iterator[Vector]:
    for name, text in {
        "100,000 combining marks": "a" + "\u0301" * 100_000,
        "100,000 compatibility letters": "\ufdfa" * 100_000,
        "what hurts a regular expression": "a" * 50_000 + "!" + " " * 50_000,
        "brackets": "[" * 50_000 + "(" * 50_000,
    }.items():
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]}).encode()
        yield Vector("expensive text", name, post(body), (200,))


VECTORS: Final = tuple(
    vector
    for row in (
        _framing, _heads, _targets, _upgrades, _media, _sizes, _syntax, _shape, _texts, _numbers, _parameters,
        _messages, _urls, _schemas, _models, _auth, _expensive,
    )
    for vector in row()
)  # fmt: skip
"""All of them, in the order of the table."""
