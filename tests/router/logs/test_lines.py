"""router/logs/lines.py, router/logs/redaction.py, router/logs/request_lines.py, router/wrapped_ledger.py.

One line each, without secrets, never in the way.
"""

import json
import logging
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from backends.base import Broken
from router.logs.lines import FIELDS, MOST, Format, open_log
from router.logs.redaction import Redaction, escaped, secrets_in
from router.metrics.families import exposition, families_of
from tests.router.conftest import OpenHouse, chat, config_of

CHAT = "/v1/chat/completions"
SECRET = "canary-secret-0123456789"
_log = logging.getLogger("router.somewhere")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator["Lines"]:
    with (tmp_path / "log").open("wb") as file:
        yield Lines(tmp_path / "log", file.fileno())


class Lines:
    """A file of lines."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor

    def read(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()


def test_a_record_is_one_line_that_no_terminal_obeys(lines: Lines) -> None:
    with open_log("text", "info", requests=False, secrets=[SECRET], descriptor=lines.descriptor):
        _log.info("asked by %s\n\x1b[31mroot\u202e\ud800", "x\r\0")
        _log.debug("not told")
        logging.getLogger("foreign").info("not told")
        _log.warning("%d of two", "one")
    first, second = lines.read()
    assert first == r"INFO router.somewhere: asked by x\r\x00\n\x1b[31mroot\u202e\ud800"
    assert second == "WARNING router.somewhere: %d of two"


def test_as_json_it_has_its_time_and_named_values(lines: Lines) -> None:
    with open_log("json", "debug", requests=False, secrets=[SECRET], descriptor=lines.descriptor):
        named = {"tenant": "acme", "cost": 5, "score": None, "said": f"a\n{SECRET}"}
        _log.debug("done", extra={FIELDS: lambda: named})
        try:
            int(SECRET)
        except ValueError:
            _log.exception("failed")
    first, second = map(json.loads, lines.read())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "debug", "logger": "router.somewhere", "message": "done", "tenant": "acme", "cost": 5,
        "said": "a\n[secret]",
    }  # fmt: skip
    assert "Traceback" in second["trace"]
    assert SECRET not in second["trace"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"key {SECRET}!", "key [secret]!"),
        ("Authorization: Bearer abcdef.ghijkl", "Authorization: Bearer [secret]"),
        ("sk-proj-0123456789abcdefghij failed", "[secret] failed"),
        ("redis://user:word@host:1/0", "redis://[secret]@host:1/0"),
        ("policy=threshold@0.200329", "policy=threshold@0.200329"),
        ("from ann.o'nym+1@mail.example.org", "from ann.o'[mail]"),
        ("card 4111 1111 1111 1111 or 4111 1111 1111 1112", "card [card] or 4111 1111 1111 1112"),
        ("DE89 3704 0044 0532 0130 00 and DE89370400440532013001", "[account] and DE89370400440532013001"),
        ("call +49 (30) 901820-0 at 10:30", "call [phone] at 10:30"),
        ("request req_0199aa12bb34ccddeeff0011223344 took 0.123 s", None),
        ("127.0.0.1:8080 answered 200 within 1763760000000", None),
        ("plain words: 3 of 4, at 50 %", None),
    ],
)
def test_what_is_somebodys_is_left_out_and_nothing_else_is(text: str, told: str | None) -> None:
    assert Redaction([SECRET, "short"]).of(text) == (text if told is None else told)


@given(st.text(alphabet=st.sampled_from("aA1@+-. :/\n\x1b\u202e4111"), max_size=300))
def test_any_text_is_read_in_no_time_and_is_one_line(text: str) -> None:
    begun = time.perf_counter()
    line = escaped(Redaction([SECRET]).of(text * 10))
    assert time.perf_counter() - begun < 0.5
    assert len(line.splitlines()) <= 1


def test_the_secrets_of_a_configuration_are_found_wherever_they_stand(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        keys=[{"tenant": "a", "key": SECRET}],
        cache={"secret": "another-long-secret"},
        dashboard={"password": "a-password-for-it"},
    )
    assert {SECRET, "another-long-secret", "a-password-for-it"} <= set(secrets_in(config))
    assert list(secrets_in({"a": [SecretStr("x"), 1]})) == ["x"]


def test_nobody_waits_for_a_pipe_that_is_full_and_what_is_lost_is_counted() -> None:
    reading, writing = os.pipe()
    try:
        with open_log("text", "info", requests=False, secrets=[], descriptor=writing) as log_writer:
            begun = time.perf_counter()
            for number in range(MOST + 2_000):
                _log.info("line %d %s", number, "x" * 100)
            assert time.perf_counter() - begun < 5
            assert 0 < log_writer.dropped <= 2_000
            assert (
                f"tandem_log_lines_dropped_total {log_writer.dropped}.0" in exposition(families_of(log_writer)).decode()
            )
            begun = time.perf_counter()
        assert time.perf_counter() - begun < 1.5  # the last lines get half a second
    finally:
        os.close(reading)  # its writer, who still holds the other end, hears of it
        time.sleep(0.05)
        os.close(writing)


def test_a_closed_descriptor_and_a_full_disk_cost_lines_alone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open_log("text", "info", requests=False, secrets=[], descriptor=writing) as log_writer:
        _log.info("nobody reads it")
        time.sleep(0.05)
        assert log_writer.dropped == 1
    os.close(writing)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log").open("wb") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            with open_log("text", "info", requests=False, secrets=[], descriptor=file.fileno()) as log_writer:
                _log.info("%s", "x" * 90)
                _log.info("no room")
                time.sleep(0.05)
                assert log_writer.dropped == 2
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
                _log.info("room again")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "log").read_bytes().split(b"\n")[1:] == [
        b"INFO router.somewhere: room again",
        b"WARNING router.logs.lines: 2 lines dropped",
        b"",
    ]


@pytest.mark.parametrize("form", ["text", "json"])
async def test_each_request_has_one_line_with_all_but_its_text(
    open_house: OpenHouse, lines: Lines, form: Format
) -> None:
    with open_log(form, "info", requests=True, secrets=[], descriptor=lines.descriptor):
        async with open_house(logs={"requests": True}) as house:
            headers = {"x-request-id": "theirs\ttab@mail.example"}
            answer = await house.client.post(CHAT, json=chat("CANARY-PROMPT", model="mini"), headers=headers)
            assert answer.status_code == 200
            house.mini.failures = [Broken("CANARY-BACKEND", status=500)]
            await house.client.post(CHAT, json=chat("CANARY-PROMPT", model="mini"))
    told = [line for line in lines.read() if "router.requests" in line]
    assert "CANARY-PROMPT" not in "".join(told)
    assert len(told) == 2
    if form == "json":
        first, second = map(json.loads, told)
        assert (first["outcome"], first["status"], first["tier"], first["reason"]) == ("answered", 200, "mini", "asked")
        assert (first["fresh_input"], first["cached_input"], first["output"]) == (8, 2, 4)
        assert first["cost_nano_usd"] > 0 < first["duration"]
        assert (second["level"], second["failures"]) == ("warning", ["Broken"])
    else:
        assert " outcome=answered status=200 tier=mini " in told[0]
        assert told[1].startswith("WARNING")


async def test_where_nothing_is_said_only_failures_are_told(open_house: OpenHouse, lines: Lines) -> None:
    with open_log("text", "info", requests=False, secrets=[], descriptor=lines.descriptor):
        async with open_house() as house:
            await house.client.post(CHAT, json=chat(model="mini"))
            house.mini.failures = [Broken("no", status=500)]
            await house.client.post(CHAT, json=chat(model="mini"))
            assert house.client is not None
    (told,) = [line for line in lines.read() if "router.requests" in line]
    assert "outcome=failed" in told
    assert "tenant=default" in told
