"""Tests backends/options.py: what may stand in the configuration."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from backends.options import HttpOptions
from backends.replicas.stack import Stack
from tests.backends.conftest import Serve, Visit, answer
from tests.backends.replicas.played import call_of

LEAST = {"use": "openai_http", "urls": ["http://large-0:8000/v1"], "model": "mistral-large", "price": "large-2026"}


def test_the_least_that_must_be_said_gets_the_defaults() -> None:
    options = HttpOptions.model_validate(LEAST)
    assert options.urls == ("http://large-0:8000/v1",)
    assert (options.connect_timeout, options.first_byte_timeout, options.idle_timeout) == (1.0, 60.0, 30.0)
    assert options.api_key is None


def test_a_slash_at_the_end_of_a_url_changes_nothing() -> None:
    assert HttpOptions.model_validate(LEAST | {"urls": ["https://h/v1/"]}).urls == ("https://h/v1",)


async def test_the_options_build_their_backend() -> None:
    urls = ["http://127.0.0.1:8001/v1", "http://127.0.0.1/v1", "https://host/v1", "http://[::1]:8002"]
    backend = HttpOptions.model_validate(LEAST | {"urls": urls, "api_key": "k"}).build()
    assert isinstance(backend, Stack)
    assert [part.split(": ")[0] for part in repr(backend).split("<Watched ")[1:]] == [
        "127.0.0.1:8001",
        "127.0.0.1:80",
        "host:443",
        "::1:8002",
    ]
    await backend.aclose()


@pytest.mark.parametrize(
    "fault",
    [
        {"urls": []},
        {"urls": ["ftp://host/v1"]},
        {"urls": ["host:8000/v1"]},
        {"urls": ["http:///v1"]},
        {"urls": ["http://host:0/v1"]},
        {"urls": ["http://host:99999/v1"]},
        {"urls": ["http://[::1/v1"]},
        {"urls": ["http://user:word@host/v1"]},
        {"urls": ["http://host/v1?key=1"]},
        {"urls": ["http://host/v1#part"]},
        {"urls": ["http://host/v 1"]},
        {"urls": ["http://host/v1\r\nx-evil: 1"]},
        {"model": ""},
        {"price": ""},
        {"api_key": ""},
        {"api_key": "key\n"},
        {"api_key": "k\u00e9y"},
        {"connect_timeout": 0},
        {"first_byte_timeout": -1},
        {"idle_timeout": "inf"},
        {"use": "openai"},
        {"timeout": 3},
        {"urls": ["http://host/v1", "http://host/v1/"]},
        {"balance": {"use": "random"}},
        {"balance": {"weight": 1}},
        {"limits": {"in_flight": 0}},
        {"limits": {"weights": {"acme": 0}}},
        {"hedge": {"after": "p99"}},
        {"hedge": {"after": 0}},
        {"retries": {"share": 1.5}},
        {"ejection": {"after": 0}},
        {"health": {"interval": "nan"}},
        {"commit": {"bytes": 0}},
    ],
)
def test_a_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HttpOptions.model_validate(LEAST | fault)


@pytest.mark.parametrize("fault", [{"api_key": "sesame-1234 "}, {"urls": ["http://u:sesame-1234@h"]}])
def test_no_secret_is_shown(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpOptions.model_validate(LEAST | fault)
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(HttpOptions.model_validate(LEAST | {"api_key": "sesame-1234"}))


def test_options_are_frozen() -> None:
    options = HttpOptions.model_validate(LEAST)
    with pytest.raises(ValidationError):
        options.model = "other"


def test_reading_options_loads_no_http_parser() -> None:
    probe = "import sys, backends.options; sys.exit('httptools' in sys.modules or 'ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


@pytest.mark.parametrize("sends", [False, True])
async def test_servers_are_sent_a_salt_where_the_file_says_so(serve: Serve, *, sends: bool) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(b"{}"))

    upstream = await serve(script)
    urls = {"urls": [f"http://127.0.0.1:{upstream.port}/v1"]}
    backend = HttpOptions.model_validate(LEAST | urls | ({"sends_cache_salt": True} if sends else {})).build()
    await backend.send(call_of(salt="a1", body=b'{"n":1}'))
    assert upstream.visits[0].body == (b'{"cache_salt":"a1","n":1}' if sends else b'{"n":1}')
    await backend.aclose()
