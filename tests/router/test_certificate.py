"""Tests router/certificate.py, and what router/eligibility.py, router/routes.py and router/deciding.py make of it."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.capabilities import Capabilities
from classifier.base import Score
from classifier.regular_files import LARGEST
from router.base import Decision, Request, Tier
from router.certificate import (
    A_DAY,
    EXPIRED,
    CertificateError,
    Gate,
    Guards,
    Identity,
    Slice,
    Verdict,
    check,
    days_over,
    load,
)
from router.config.faults import ConfigError
from router.deciding import gate_of
from router.eligibility import BOTH, CAPABILITY, UNCERTIFIED, Eligibility, token_bounds
from router.endpoints.wire import read_chat
from router.reply_keys import who_answers
from router.routes import Route, Routes
from router.running.vetting import faults_in
from tests.router.certificates import LARGE, MINI, SERVING, certificate_of, slice_of, written
from tests.router.conftest import chat, config_of

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
JSON = {"type": "json_object"}
TALK = [{"role": role, "content": "x"} for role in ("user", "assistant") * 6]


def asked(text: str = "hello", *, tenant: str = "shop", **more: Any) -> Request:
    """Return a parsed request."""
    body = json.dumps(chat(text, **more)).encode()
    return read_chat(body, {}, tenant=tenant, received=0.0, timeout=1.0, keep_sampled=False)


def gate(*slices: Slice, expired: bool = False) -> Gate:
    """Return the gate of a certificate of these slices."""
    return Gate(certificate_of(*slices), most_tokens=lambda request: token_bounds(request)[1], expired=expired)


GUARDED: dict[str, tuple[Guards, Request]] = {
    "tools": (Guards(features=("tools",)), asked(tools=[TOOL])),
    "json": (Guards(features=("json_object", "json_schema")), asked(response_format=JSON)),
    "memory": (Guards(messages=11), asked(messages=TALK)),
    "long": (Guards(tokens=16_384), asked("one two three " * 5_000)),
    "tenant:acme": (Guards(tenant="acme"), asked(tenant="acme")),
    "all": (Guards(everything=True), asked()),
}


@pytest.mark.parametrize("name", GUARDED)
def test_a_slice_that_was_not_shown_keeps_its_requests_from_mini_and_no_others(name: str) -> None:
    guards, request = GUARDED[name]
    for verdict in Verdict:
        refused = "" if verdict is Verdict.PASSED else name
        assert gate(slice_of(name, guards, verdict)).refused(request) == refused
    if name != "all":
        assert gate(slice_of(name, guards)).refused(asked()) == ""
        assert gate(slice_of(name, guards)).refused(asked(messages=TALK[:9])) == ""


def test_all_slices_that_fail_are_heeded_from_the_first_length_on_that_does() -> None:
    slices = [
        slice_of("memory_2", Guards(messages=5), Verdict.PASSED),
        slice_of("memory_10", Guards(messages=12)),
        slice_of("memory_5", Guards(messages=9), Verdict.UNDECIDED),
        slice_of("tools", Guards(features=("tools",))),
        slice_of("classification", Guards()),  # which requests it is about cannot be told
    ]
    found = gate(*slices)
    assert found.refused(asked(messages=TALK[:8])) == ""
    assert found.refused(asked(messages=TALK[:9])) == "memory_5"
    assert found.refused(asked(messages=TALK)) == "memory_5"
    assert found.refused(asked(tools=[TOOL])) == "tools"
    assert gate(expired=True).refused(asked()) == EXPIRED
    assert gate().refused(asked()) == ""


def test_one_feature_that_was_not_shown_is_enough_to_refuse() -> None:
    found = gate(slice_of("json", Guards(features=("json_schema", "json_object"))))
    assert found.refused(asked(tools=[TOOL], response_format=JSON)) == "json"
    assert found.refused(asked(tools=[TOOL])) == ""


def test_tokens_are_counted_by_their_upper_bound_and_only_where_bytes_leave_it_open() -> None:
    counted: list[Request] = []

    def most(request: Request) -> int:
        counted.append(request)
        return token_bounds(request)[1]

    found = Gate(certificate_of(slice_of("long", Guards(tokens=1_000))), most_tokens=most)
    assert found.refused(asked("word " * 150)) == ""
    assert counted == []
    assert found.refused(asked("word " * 400)) == ""  # 2,000 bytes, 700 tokens at most
    assert found.refused(asked("1234 " * 400)) == "long"  # where each digit may be one
    assert found.refused(asked("hi", tools=[{**TOOL, "x": "word " * 1_000}])) == "long"
    assert len(counted) == 3


def test_mini_is_taken_away_only_where_the_choice_is_ours_and_large_can_serve() -> None:
    refusing = gate(slice_of("tools", Guards(features=("tools",))), slice_of("json", Guards(features=("json_object",))))
    both = Eligibility(dict.fromkeys(Tier, Capabilities()), refusing)
    found = both.eligible(asked(tools=[TOOL]))
    assert (found.tiers, found.reason, found.refused) == ((Tier.LARGE,), UNCERTIFIED, "tools")
    assert both.eligible(asked()).tiers == BOTH
    assert both.eligible(asked(model="mini", tools=[TOOL])).tiers == (Tier.MINI,)
    assert both.tiers(asked(tools=[TOOL])) == BOTH  # what backends can is another question
    for request in (asked(tools=[TOOL]), asked()):
        both.note(both.eligible(request))
    assert both.uncertified == {"tools": 1}
    alone = Eligibility({Tier.LARGE: Capabilities(tools=False), Tier.MINI: Capabilities()}, refusing)
    found = alone.eligible(asked(tools=[TOOL]))
    assert (found.tiers, found.reason, found.refused) == ((Tier.MINI,), CAPABILITY, "")
    without = Eligibility(dict.fromkeys(Tier, Capabilities()))
    assert without.eligible(asked(tools=[TOOL])).tiers == BOTH


def test_mini_stands_in_for_large_on_such_a_request_only_where_that_is_configured() -> None:
    by_tier = {tier: Route(tier, tier, None, lambda: None) for tier in Tier}  # type: ignore[arg-type]  # asks nobody
    request, refused = asked(), Decision(Tier.LARGE, UNCERTIFIED, None, None, "p")
    assert [route.tier for route in Routes(by_tier).plan(request, refused)] == [Tier.LARGE]
    assert [route.tier for route in Routes(by_tier, uncertified=True).plan(request, refused)] == [Tier.LARGE, Tier.MINI]
    scored = Decision(Tier.LARGE, "score", Score(0.9, "s"), 0.5, "p")
    assert [route.tier for route in Routes(by_tier).plan(request, scored)] == [Tier.LARGE, Tier.MINI]


def test_a_gate_takes_a_microsecond_or_two() -> None:
    slices = [slice_of(name, guards) for name, (guards, _) in GUARDED.items() if name != "all"]
    found, request = gate(*slices), asked("how do I cancel order 123?", messages=TALK[:5])
    best = min(_seconds(lambda: found.refused(request)) for _ in range(7))
    assert best < 6e-6  # 0.6 to 1.2 on a quiet machine; tests share theirs


def _seconds(call: Callable[[], str], times: int = 2_000) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


# --- the file --------------------------------------------------------------------------------------


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    made = certificate_of(*(slice_of(name, guards) for name, (guards, _) in GUARDED.items()))
    assert load(written(tmp_path / "c.json", made)) == made


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"format": "\xff"}', "is no JSON"),
        (b" " * (LARGEST + 1), "it is over 67108864 bytes"),
        (b"[]", "is no certificate"),
        (b'{"format": "else"}', "is no certificate"),
        (b'{"format": "tandem certificate", "version": 2}', "is of version 2, and 1 is read here"),
        (b'{"format": "tandem certificate", "version": 1}', "is damaged: object missing required field"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(CertificateError, match=words) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_damaged_value_is_named_and_a_missing_file_too(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", certificate_of(slice_of("a", Guards())))
    said = json.loads(path.read_text())
    said["slices"][0]["verdict"] = "perhaps"
    path.write_text(json.dumps(said))
    with pytest.raises(CertificateError, match=r"damaged: .*perhaps.*slices"):
        load(path)
    with pytest.raises(CertificateError, match="cannot be read: no such file"):
        load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"slices": []}, "has no slice"),
        ({"adjusted": 0.2}, "a is said to have passed"),
        ({"measured": []}, "a is said to have passed"),
        ({"made": 1e300}, "made"),
        ({"made": -1.0}, "made"),
        ({"alpha": 0.999}, "alpha"),
    ],
)
def test_a_certificate_that_says_what_its_figures_do_not_is_refused(
    tmp_path: Path, damage: dict[str, object], said: str
) -> None:
    path = written(tmp_path / "c.json", certificate_of(slice_of("a", Guards(everything=True), Verdict.PASSED)))
    whole = json.loads(path.read_text())
    place = whole["slices"][0] if damage.keys() <= whole["slices"][0].keys() else whole
    place.update(damage)
    path.write_text(json.dumps(whole))
    with pytest.raises(CertificateError, match=rf"is damaged: .*{said}"):
        load(path)


def test_a_certificate_of_other_models_or_of_another_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    check(certificate_of(), path, SERVING)
    with pytest.raises(CertificateError, match="certifies small as mini, and other serves now"):
        check(certificate_of(), path, {**SERVING, Tier.MINI: Identity(Tier.MINI, "other")})
    was, now = (Identity(Tier.LARGE, "big", letter * 64) for letter in "ab")
    with pytest.raises(CertificateError, match=r"certifies big \(aaaaaaaaaaaa\) as large, and big \(bbbbbbbbbbbb\)"):
        check(certificate_of(incumbent=was), path, {**SERVING, Tier.LARGE: now})
    with pytest.raises(CertificateError, match="make it with --from large --to mini"):
        check(certificate_of(incumbent=MINI, candidate=LARGE), path, SERVING)


def test_an_old_certificate_speaks_for_nothing_and_the_gateway_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = time.time() - 100 * A_DAY
    assert days_over(certificate_of(made=made), max_age=90, now=time.time()) == pytest.approx(10, abs=0.1)
    assert days_over(certificate_of(made=time.time() + A_DAY), max_age=90, now=time.time()) == 0.0
    path = written(tmp_path / "c.json", certificate_of(made=made))
    with caplog.at_level(logging.WARNING):
        found = gate_of(config_of(tmp_path, certificate=str(path)))
    assert found is not None
    assert found.refused(asked()) == EXPIRED
    assert "is 10 days older than the 90 that it is good for" in caplog.text
    longer = gate_of(config_of(tmp_path, certificate={"file": str(path), "max_age_days": 120}))
    assert longer is not None
    assert longer.refused(asked()) == ""


def test_a_configuration_with_a_certificate_of_other_models_is_refused(tmp_path: Path) -> None:
    assert gate_of(config_of(tmp_path)) is None
    path = written(tmp_path / "c.json", certificate_of(candidate=Identity(Tier.MINI, "another")))
    chosen = config_of(tmp_path, certificate=str(path))
    with pytest.raises(ConfigError) as refused:
        gate_of(chosen)
    (fault,) = refused.value.faults
    assert fault.path == "certificate"
    assert "certifies another as mini, and small serves now" in fault.message
    assert fault in faults_in(chosen)


def test_kept_replies_of_before_are_not_found_under_a_certificate(tmp_path: Path) -> None:
    options = config_of(tmp_path).backends.by_tier
    one, two = (Gate(certificate_of(made=made), most_tokens=lambda _: 0) for made in (1.0, 2.0))
    assert (
        len({who_answers(options, None), who_answers(options, None, None, one), who_answers(options, None, None, two)})
        == 3
    )
