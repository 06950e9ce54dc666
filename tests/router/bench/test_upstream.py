"""Tests router/bench/upstream.py."""

import json
import select
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from router.bench.companions import ROOT
from router.bench.upstream import CHUNKS, finals


def exchange(address: str, request: bytes) -> bytes:
    """Send bytes on a connection of their own and return all that comes until the other side is silent or gone."""
    target = urlsplit(address)
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=5) as connection:
        connection.sendall(request)
        connection.settimeout(0.3)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pass
        return received


def post(body: bytes, *, query: str = "") -> bytes:
    head = f"POST /v1/chat/completions{query} HTTP/1.1\r\nhost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def unframed(answer: bytes) -> bytes:
    """Return the body of a chunked answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            assert rest == b"\r\n"
            return body
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


def test_a_whole_answer_has_its_length_a_text_and_its_usage(upstream: str) -> None:
    head, _, body = exchange(upstream, post(b'{"messages":[]}')).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert 450 < len(body) < 750
    answer = json.loads(body)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_ends_with_a_finish_the_usage_that_was_asked_for_and_done(
    upstream: str, *, include_usage: bool
) -> None:
    body = {"stream": True, "stream_options": {"include_usage": include_usage}}
    events = unframed(exchange(upstream, post(json.dumps(body).encode(), query="?chunks=4&gap=0.001"))).split(b"\n\n")
    assert events.pop() == b""
    assert len(events) == 4 + finals(include_usage=include_usage)
    assert events.pop() == b"data: [DONE]"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:4]] == ["twelve chars"] * 4
    assert chunks[4]["choices"][0]["finish_reason"] == "stop"
    assert ("usage" in chunks[-1]) == include_usage


def test_requests_that_come_in_one_piece_or_in_many_are_answered_in_order(upstream: str) -> None:
    stream = post(b'{"stream":true}', query="?chunks=1&gap=0.01")
    answers = exchange(upstream, post(b"{}") + stream + b"GET /health HTTP/1.1\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.index(b"chat.completion") < answers.index(b"[DONE]") < answers.index(b'{"status":"ok"}')
    target, request = urlsplit(upstream), post(b'{"model":"auto"}')
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (request[:20], request[20:-9], request[-9:-1]):
            connection.sendall(piece)
            assert not select.select([connection], [], [], 0.05)[0], "it answers before the request is whole"
        connection.sendall(request[-1:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        assert connection.recv(65536).endswith(b'{"status":"ok"}')


def test_models_and_an_unknown_path_answer_as_such(upstream: str) -> None:
    assert b'"id":"bench-upstream"' in exchange(upstream, b"GET /v1/models HTTP/1.1\r\n\r\n")
    assert exchange(upstream, b"GET /nowhere HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_a_body_without_a_length_is_refused(upstream: str) -> None:
    request = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert exchange(upstream, request).startswith(b"HTTP/1.1 411")


def test_the_upstream_says_its_port_and_ends_at_the_first_signal() -> None:
    command = [sys.executable, "-m", "router.bench.upstream", "--chunks", "2", "--gap", "0.001"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            answer = unframed(exchange(f"http://127.0.0.1:{port}", post(b'{"stream":true}')))
        finally:
            process.terminate()
        assert process.wait(5) == 0
    assert answer.count(b"twelve chars") == 2 != CHUNKS
