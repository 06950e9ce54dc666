"""Tests of backends/dialects/messages/errors.py."""

import json

import pytest

from backends.dialects.messages.errors import message_error


def told(status: int, **error: object) -> tuple[int, dict[str, object]]:
    status, body = message_error(status, json.dumps({"error": error}).encode())
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_each_status_has_its_type(status: int, kind: str) -> None:
    same, answer = told(status, message="why", type="whatever", code="x")
    assert same == status
    assert answer == {"type": "error", "error": {"type": kind, "message": "why"}}


def test_a_lack_of_room_has_a_status_of_its_own() -> None:
    status, answer = told(503, message="every backend is full", code="overloaded")
    assert status == 529
    assert answer["error"] == {"type": "overloaded_error", "message": "every backend is full"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":3}', b'{"error":{"message":{}}}', b"\xff"])
def test_an_error_that_cannot_be_read_is_told_by_its_status(body: bytes) -> None:
    status, answer = message_error(418, body)
    assert status == 418
    assert json.loads(answer)["error"] == {
        "type": "invalid_request_error",
        "message": "the request failed with 418",
    }


def test_an_error_in_anthropics_own_shape_keeps_its_words() -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    assert json.loads(message_error(429, body)[1])["error"] == {"type": "rate_limit_error", "message": "slow down"}
