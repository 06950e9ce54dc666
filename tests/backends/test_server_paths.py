"""Tests of backends/server_paths.py."""

import pytest

from backends.server_paths import TOKENIZE, server_path


@pytest.mark.parametrize(
    ("base", "path", "found"),
    [
        ("/v1", "/chat/completions", "/v1/chat/completions"),
        ("", "/chat/completions", "/chat/completions"),
        ("/v1", TOKENIZE, "/tokenize"),
        ("/models/large/v1", TOKENIZE, "/models/large/tokenize"),
        ("/api", TOKENIZE, "/api/tokenize"),
        ("", TOKENIZE, "/tokenize"),
    ],
)
def test_a_tokenizer_lies_beside_the_api(base: str, path: str, found: str) -> None:
    assert server_path(base, path) == found
