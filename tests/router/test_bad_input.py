"""What is refused, and how.

router/endpoints/wire.py, router/endpoints/errors.py, router/endpoints/models.py, router/guards/documents.py,
router/guards/parameters.py, router/app.py
"""

import tracemalloc
from collections.abc import AsyncGenerator

import httpx2
import pytest

from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
_OK = b'{"model":"auto","messages":[{"role":"user","content":"hi"}]'

BODIES = {
    "empty": (b"", 400, "invalid_json"),
    "truncated": (_OK, 400, "invalid_json"),
    "trailing bytes": (_OK + b"} x", 400, "invalid_json"),
    "NaN": (_OK + b',"temperature":NaN}', 400, "invalid_json"),
    "Infinity": (_OK + b',"temperature":-Infinity}', 400, "invalid_json"),
    "BOM": (b"\xef\xbb\xbf" + _OK + b"}", 400, "invalid_json"),
    "UTF-16": ((_OK + b"}").decode().encode("utf-16"), 400, "invalid_unicode"),
    "control byte": (b'{"model":"auto","messages":[{"role":"user","content":"\x01"}]}', 400, "invalid_json"),
    "not an object": (b"[1]", 400, "invalid_type"),
    "duplicate key": (_OK + b',"model":"large"}', 400, "duplicate_key"),
    "duplicate by escape": (_OK + b',"mod\\u0065l":"large"}', 400, "duplicate_key"),
    "duplicate deep inside": (_OK + b',"x":{"y":[{"a":1,"a":2}]}}', 400, "duplicate_key"),
    "4301 digits": (_OK + b',"seed":' + b"9" * 4301 + b"}", 400, "invalid_value"),
    "beyond 64 bits": (_OK + b',"seed":9223372036854775808}', 400, "invalid_value"),
    "1e999": (_OK + b',"x":1e999}', 400, "invalid_value"),
    "lone surrogate": (b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}', 400, "invalid_unicode"),
    "lone surrogate in a field we do not read": (_OK + b',"x":"\\uDfff"}', 400, "invalid_unicode"),
    "lone surrogate in a name": (_OK + b',"\\ud800":1}', 400, "invalid_unicode"),
    "invalid UTF-8": (_OK + b',"x":"\xff"}', 400, "invalid_unicode"),
    "raw-encoded surrogate": (_OK + b',"x":"\xed\xa0\x80"}', 400, "invalid_unicode"),
    "depth 65": (_OK + b',"x":' + b"[" * 64 + b"]" * 64 + b"}", 400, "json_too_deep"),
    "depth 10,000": (_OK + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "json_too_deep"),
    "100,000 objects deep": (_OK + b',"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, 400, "json_too_deep"),
    "too many names": (
        _OK + b',"x":[' + b",".join(b'{"a%d":1}' % i for i in range(10_001)) + b"]}",
        400,
        "too_many_keys",
    ),
    "too many names in one object": (
        _OK + b',"x":{' + b",".join(b'"%d":1' % i for i in range(10_001)) + b"}}",
        400,
        "too_many_keys",
    ),
    "no messages": (b'{"model":"auto"}', 400, "missing_required_parameter"),
    "no model": (b'{"messages":[{"role":"user","content":"hi"}]}', 400, "missing_required_parameter"),
    "messages empty": (b'{"model":"auto","messages":[]}', 400, "invalid_value"),
    "messages no list": (b'{"model":"auto","messages":"hi"}', 400, "invalid_type"),
    "message no object": (b'{"model":"auto","messages":["hi"]}', 400, "invalid_type"),
    "unknown role": (b'{"model":"auto","messages":[{"role":"god","content":"hi"}]}', 400, "invalid_value"),
    "content a number": (b'{"model":"auto","messages":[{"role":"user","content":3}]}', 400, "invalid_type"),
    "stream a word": (_OK + b',"stream":"yes"}', 400, "invalid_type"),
    "max_tokens negative": (_OK + b',"max_tokens":-1}', 400, "invalid_value"),
    "max_tokens boolean": (_OK + b',"max_tokens":true}', 400, "invalid_type"),
    "max_tokens fraction": (_OK + b',"max_tokens":1.5}', 400, "invalid_type"),
    "n of 10,000": (_OK + b',"n":10000}', 400, "invalid_value"),
    "temperature of 3": (_OK + b',"temperature":3}', 400, "invalid_value"),
    "unknown model": (b'{"model":"gpt-9","messages":[{"role":"user","content":"hi"}]}', 404, "model_not_found"),
    "traversal as model": (b'{"model":"../large","messages":[{"role":"user","content":"hi"}]}', 404, "model_not_found"),
    "control bytes in the model": (
        b'{"model":"auto\\r\\nx: y","messages":[{"role":"user","content":"hi"}]}',
        404,
        "model_not_found",
    ),
    "api_base": (_OK + b',"api_base":"http://evil"}', 400, "parameter_not_allowed"),
    "cache_salt deep inside": (_OK + b',"extra":[{"cache_salt":"x"}]}', 400, "parameter_not_allowed"),
    "chat_template by escape": (_OK + b',"chat\\u005ftemplate":"x"}', 400, "parameter_not_allowed"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused_with_its_code_and_leaves_no_record(name: str, open_house: OpenHouse) -> None:
    body, status, code = BODIES[name]
    async with open_house() as house:
        answer = await house.client.post(CHAT, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["x-should-retry"] == "false"
        assert not house.large.calls
        assert not house.mini.calls
    assert house.rows() == []


LEGAL = {
    "nul and bidi characters": _OK + b',"x":"\\u0000\\u202e"}',
    "a whole surrogate pair": _OK + b',"x":"\\ud83d\\ude00"}',
    "an escaped backslash before ud": _OK + b',"x":"\\\\ud800"}',
    "depth 64": _OK + b',"x":' + b"[" * 63 + b"]" * 63 + b"}",
    "unknown fields": _OK + b',"guided_json":{"type":"object"},"whatever":[null]}',
    "a refused word as a value": _OK + b',"x":"cache_salt"}',
    "a refused word as a tool's argument": _OK
    + b',"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"base_url":{}}}}}]}',
    "null content": b'{"model":"auto","messages":[{"role":"assistant","content":null,"tool_calls":[]}]}',
    "an image": b'{"model":"auto","messages":[{"role":"user","content":'
    b'[{"type":"image_url","image_url":{"url":"data:,"}}]}]}',
}


@pytest.mark.parametrize("name", LEGAL)
async def test_what_is_unusual_but_legal_is_answered(name: str, open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, content=LEGAL[name], headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text


async def test_a_body_over_the_limit_is_refused_whether_its_length_is_announced_or_not(open_house: OpenHouse) -> None:
    async with open_house() as house:
        announced = await house.client.post(CHAT, json=chat("x" * (5 << 20)))

        async def parts() -> AsyncGenerator[bytes, None]:
            for _ in range(5):
                yield b"x" * (1 << 20)

        chunked = await house.client.post(CHAT, content=parts(), headers={"content-type": "application/json"})
    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_a_foreign_media_type_or_encoding_is_refused(headers: dict[str, str], open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, content=_OK + b"}", headers=headers)
    assert answer.status_code == 415


async def test_unknown_paths_and_methods_have_the_error_shape(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for method, path, status, code in (
            ("GET", "/nothing", 404, "not_found"),
            ("PUT", CHAT, 405, "method_not_allowed"),
            ("GET", "/healthz/", 404, "not_found"),
            ("DELETE", "/v1/models", 405, "method_not_allowed"),
            ("GET", "/v1/models/none", 404, "model_not_found"),
            ("POST", "/v1/route", 415, "unsupported_media_type"),
        ):
            answer = await house.client.request(method, path, headers={"x-request-id": "abc"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
            assert answer.headers["x-request-id"] == "abc"
            if status == 405:
                assert answer.headers["allow"]


async def test_a_wrong_key_is_refused_before_the_body_is_looked_at(open_house: OpenHouse) -> None:
    keys = [{"tenant": "acme", "key": "k" * 32}]
    async with open_house(keys=keys) as house:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic " + "k" * 32}):
            answer = await house.client.post(CHAT, content=b"not json", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        right = await house.client.post(CHAT, json=chat(), headers={"authorization": "Bearer " + "k" * 32})
        assert right.status_code == httpx2.codes.OK
    assert [row["tenant"] for row in house.rows()] == ["acme"]


async def test_a_wrong_tier_header_is_refused(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, json=chat(), headers={"x-tandem-tier": "medium"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-tandem-tier")


async def test_a_huge_name_over_many_values_costs_no_memory(open_house: OpenHouse) -> None:
    body = b'{"model":"auto","messages":[{"role":"user","content":"\\u0041"}],"x":{"' + b"k" * 1_000_000 + b'":['
    body += b"[0]," * 5_000 + b"0]}}"
    async with open_house() as house:
        await house.client.post(CHAT, json=chat())  # loads what the first request loads
        tracemalloc.start()
        answer = await house.client.post(CHAT, content=body, headers={"content-type": "application/json"})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.status_code == 200
    assert peak < 40e6


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_one_of_our_headers_twice_is_refused(path: str, open_house: OpenHouse) -> None:
    twice = [("x-tandem-quality", "0.99"), ("x-tandem-quality", "0.5")]
    async with open_house() as house:
        answer = await house.client.post(path, json=chat(), headers=twice)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "x-tandem-quality"
        other = await house.client.post(path, json=chat(), headers=[("x-other", "a"), ("x-other", "b")])
        assert other.status_code == 200


async def test_addresses_in_messages_are_refused_unless_the_file_lets_backends_fetch_them(
    open_house: OpenHouse,
) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}
    body = chat(model="mini", messages=[{"role": "user", "content": [part]}])
    async with open_house() as house:
        refused = await house.client.post(CHAT, json=body)
        route = await house.client.post("/v1/route", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "url_not_allowed")
    assert route.status_code == 200
    async with open_house(server={"content_urls": True}) as house:
        assert (await house.client.post(CHAT, json=body)).status_code == 200
