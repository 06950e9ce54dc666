"""Tests classifier/encoder.py, classifier/encoding/folder.py and classifier/encoding/session.py, without torch."""

import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it has no types
import pytest

from classifier import encoder
from classifier.base import ClassifierError, Prompt, Turn, WeightsError
from classifier.encoder import SEGMENTS, EncoderClassifier, TokenReader, load
from classifier.encoding import session
from classifier.encoding.folder import FIGURES, MODEL, TOKENIZER, digest, read_folder
from classifier.options import ClassifierOptions
from tests.classifier.small_graph import folder, graph, written

WORDS = {"prove": 3.0, "theorem": 2.0, "hello": -2.0, "please": 0.0, "证": 1.5, "明": 1.0}


def user(text: str) -> Prompt:
    return Prompt((Turn("user", text),))


def logit(score: float) -> float:
    """Return the graph's logit from a score; the folder's calibration takes 1.0 off."""
    return math.log(score / (1 - score)) + 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "encoder", WORDS)


@pytest.fixture
def classifier(path: Path) -> EncoderClassifier:
    return load(path, device="cpu")


# --- scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Prove the theorem, please", 5.0), ("hello", -2.0), ("nothing known", 0.0), ("证明", 2.5), ("[PAD] hello", -2.0)],
)
def test_a_score_is_the_calibrated_logit_of_the_graph(
    classifier: EncoderClassifier, text: str, expected: float
) -> None:
    score = classifier.score(user(text))
    assert logit(score.value) == pytest.approx(expected, abs=1e-6)
    assert score.source == "encoder@1"
    assert classifier.threshold == 0.5
    low, high = classifier.interval(user(text))
    assert low < score.value < high


def test_earlier_turns_join_and_system_turns_do_not(classifier: EncoderClassifier) -> None:
    turns = (Turn("system", "prove prove"), Turn("assistant", "shall I prove the theorem"), Turn("user", "please"))
    assert logit(classifier.score(Prompt(turns)).value) == pytest.approx(5.0, abs=1e-6)
    assert logit(classifier.score(Prompt((Turn("system", "prove"), Turn("user", "hello")))).value) == pytest.approx(
        -2.0
    )


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(()),
        user(""),
        user(" \n\t"),
        Prompt((Turn("tool", ""),), tools=4),
        user("\ud800"),
        Prompt((Turn("user", ""),) * 9),
    ],
    ids=["nothing", "only images", "white space", "only tools", "a lone surrogate", "many empty turns"],
)
def test_without_any_text_the_score_is_how_often_mini_was_not_enough(
    classifier: EncoderClassifier, prompt: Prompt
) -> None:
    assert classifier.score(prompt).value == 0.25
    assert classifier.interval(prompt) == (0.0, 1.0)
    assert classifier.explain(prompt, top=5) == ()


def test_the_cost_of_a_score_does_not_grow_with_the_prompt(classifier: EncoderClassifier) -> None:
    for huge in ("x" * 10**7, "prove " * 2 * 10**6, "证明" * 4 * 10**6):
        begun = time.process_time()
        assert 0.0 <= classifier.score(user(huge)).value <= 1.0
        classifier.explain(user(huge), top=5)
        assert time.process_time() - begun < 0.1


def test_a_long_text_keeps_both_ends_and_room_for_earlier_turns(path: Path) -> None:
    reader = TokenReader((path / TOKENIZER).read_bytes(), longest=16, start=1, separator=2)
    prove, hello, please = (4 + list(WORDS).index(word) for word in ("prove", "hello", "please"))
    assert reader.ids(("hello", "")) == [1, hello, 2]
    assert reader.ids(("hello", "prove")) == [1, hello, 2, prove, 2]
    long = "prove " + "hello " * 50 + "please"
    assert reader.ids((long, "")) == [1, prove, *[hello] * 12, please, 2]
    assert reader.ids((long, "please " * 50)) == [1, prove, *[hello] * 8, please, 2, *[please] * 3, 2]
    assert reader.ids(("hello", long)) == [1, hello, 2, prove, *[hello] * 10, please, 2]


def test_the_sum_that_overflows_is_a_score(path: Path, tmp_path: Path) -> None:
    extreme = load(written(tmp_path / "extreme", {"up": 3e38, "down": -3e38}), device="cpu")
    assert extreme.score(user("up")).value == pytest.approx(1.0)
    assert extreme.score(user("down")).value == pytest.approx(0.0)


def test_what_is_no_number_is_an_error_for_the_caller_to_fall_back_on(tmp_path: Path) -> None:
    broken = load(written(tmp_path / "nan", {"hello": 1.0, "nan": math.nan, "inf": math.inf}), device="cpu")
    assert broken.score(user("hello")).value == pytest.approx(0.5)
    for text in ("hello nan", "inf"):
        with pytest.raises(ClassifierError, match="no finite logit") as caught:
            broken.score(user(text))
        assert not isinstance(caught.value, WeightsError)


def test_a_graph_that_fails_is_an_error_that_says_nothing_of_the_prompt(tmp_path: Path) -> None:
    short = load(written(tmp_path / "short", WORDS, known=5), device="cpu")
    with pytest.raises(ClassifierError, match="the encoder cannot be run on cpu: ") as caught:
        short.score(user("hello secret"))
    assert "secret" not in str(caught.value)


def test_a_tokenizer_that_fails_is_an_error_for_the_caller_to_fall_back_on(path: Path) -> None:
    content = json.loads((path / TOKENIZER).read_bytes())
    content["model"]["unk_token"] = "[NONE]"
    reader = TokenReader(json.dumps(content).encode(), longest=16, start=1, separator=2)
    with pytest.raises(ClassifierError, match="the text cannot be cut into tokens"):
        reader.ids(("unheard", ""))


# --- explanations ----------------------------------------------------------------------------------


def test_an_explanation_names_the_words_without_which_the_logit_changes_most(classifier: EncoderClassifier) -> None:
    parts = classifier.explain(user("Hello, prove the theorem: prove 证明"), top=4)
    assert [part.feature for part in parts] == ['"prove"', '"Hello,"', '"theorem:"', '"证"']
    assert [part.weight for part in parts] == pytest.approx([6.0, -2.0, 2.0, 1.5], abs=1e-5)


def test_earlier_turns_are_explained_too(classifier: EncoderClassifier) -> None:
    (part,) = classifier.explain(Prompt((Turn("assistant", "theorem"), Turn("user", "yes"))), top=3)
    assert part.feature == '"theorem"'


def test_an_explanation_runs_the_graph_a_bounded_number_of_times(
    classifier: EncoderClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    logits = classifier._session.logits

    def counted(rows: list[list[int]]) -> list[float]:
        seen.append(len(rows))
        return logits(rows)

    monkeypatch.setattr(classifier._session, "logits", counted)
    talk = Prompt((Turn("assistant", "a b " * 99), Turn("user", "prove " + "c 证 " * 300)))
    first, *_ = classifier.explain(talk, top=3)
    assert "prove" in first.feature
    assert seen == [max(seen)]
    assert SEGMENTS // 2 < seen[0] <= SEGMENTS + 1


# --- loading ---------------------------------------------------------------------------------------


def _change(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: (path / name).write_bytes(change((path / name).read_bytes()))


def _figures(**changed: object) -> Callable[[Path], object]:
    return _change(FIGURES, lambda content: json.dumps({**json.loads(content), **changed}).encode())


def _without(key: str) -> Callable[[Path], object]:
    return _change(
        FIGURES, lambda content: json.dumps({k: v for k, v in json.loads(content).items() if k != key}).encode()
    )


def _replaced(name: str, content: bytes) -> Callable[[Path], object]:
    """Return what replaces a file and states its digest, as one does who made it so."""

    def replace(path: Path) -> None:
        (path / name).write_bytes(content)
        figures = json.loads((path / FIGURES).read_bytes())
        figures["sha256"][name] = digest(content)
        (path / FIGURES).write_text(json.dumps(figures))

    return replace


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no figures": (lambda path: (path / FIGURES).unlink(), r"encoder\.json: cannot be read: No such file"),
    "no graph": (lambda path: (path / MODEL).unlink(), r"model\.onnx: cannot be read: No such file"),
    "no tokenizer": (lambda path: (path / TOKENIZER).unlink(), r"tokenizer\.json: cannot be read: No such file"),
    "figures are no JSON": (_change(FIGURES, lambda _: b"\x80\x04K\x01."), r"encoder\.json: is damaged"),
    "figures are cut off": (_change(FIGURES, lambda content: content[:-9]), r"encoder\.json: is damaged"),
    "figures are deep": (_change(FIGURES, lambda _: b"[" * 100_000), r"encoder\.json: is damaged"),
    "figures are a list": (_change(FIGURES, lambda _: b"[]"), r"encoder\.json: is damaged: Expected `object`"),
    "another format": (_figures(format="tandem-encoder-0"), "this code reads tandem-encoder-1"),
    "no threshold": (_without("threshold"), "is damaged: Object missing required field `threshold`"),
    "a slope in words": (_figures(calibration={"kind": "platt", "slope": "steep", "offset": 0}), "got `str`.*slope"),
    "a slope that falls": (_figures(calibration={"kind": "platt", "slope": -1, "offset": 0}), "a map must rise"),
    "no calibration that is known": (_figures(calibration={"kind": "pickle"}), "is damaged"),
    "a slope without end": (
        _change(FIGURES, lambda content: content.replace(b'"slope": 1.0', b'"slope": 1e999')),
        r"encoder\.json: is damaged",
    ),
    "a threshold above 1": (_figures(threshold=1.5), "threshold"),
    "endless sequences": (_figures(longest=10**9), "longest"),
    "no digests": (_without("sha256"), r"encoder\.json: is damaged"),
    "a digest is missing": (_figures(sha256={}), r"model\.onnx: encoder\.json names no sha256 for it"),
    "another graph": (_change(MODEL, lambda content: content + b"\0"), r"model\.onnx: sha256 is"),
    "another tokenizer": (_change(TOKENIZER, lambda content: content + b" "), r"tokenizer\.json: sha256 is"),
    "a graph that is none": (_replaced(MODEL, b"\x80\x04K\x01."), "device cpu cannot load the graph: "),
    "a graph cut off": (_replaced(MODEL, graph([0.0] * 9)[:-40]), "device cpu cannot load the graph: "),
    "a graph with another end": (_replaced(MODEL, graph([0.0] * 9, output="p")), r"to \['p'\], not from"),
    "a tokenizer that is none": (_replaced(TOKENIZER, b"{}"), r"tokenizer\.json is no tokenizer"),
    "a graph that gives no numbers": (_replaced(MODEL, graph([math.nan] * 9)), "no finite logit"),
    "a graph for fewer tokens": (_replaced(MODEL, graph([])), "cannot be run on cpu"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_folder_that_is_not_whole_is_refused_with_file_and_reason(
    path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(path)
    with pytest.raises(WeightsError, match=reason) as caught:
        load(path, device="cpu")
    assert str(path) in str(caught.value)


def test_a_folder_that_is_read_is_the_one_that_was_written(path: Path) -> None:
    assert read_folder(path) == folder(WORDS)
    assert (path / "CARD.md").is_file()


def test_a_new_encoder_replaces_an_old_one_whole(path: Path) -> None:
    written(path, {"other": 1.0})
    assert read_folder(path) == folder({"other": 1.0})


def test_loading_says_what_a_score_costs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "classifier.encoder"):
        load(path, device="cpu")
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert f"{path}: on cpu a score takes " in record.getMessage()
    assert "(median, 64 tokens)" in record.getMessage()


def test_an_encoder_that_would_hold_up_requests_is_loaded_with_advice(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "SLOW", 0.0)
    load(path, device="cpu")
    assert "train a smaller encoder" in caplog.text


# --- devices ---------------------------------------------------------------------------------------


def test_a_device_that_is_not_offered_is_refused_with_those_that_are(path: Path) -> None:
    offered = onnxruntime.get_available_providers()
    for device, provider in (("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        if provider not in offered:
            with pytest.raises(WeightsError, match=rf"device {device}: onnxruntime offers .*cpu here"):
                load(path, device=device)  # type: ignore[arg-type]  # the loop's words are of the type


def test_a_device_that_is_offered_but_does_not_work_is_passed_over_by_auto_only(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(session._PROVIDERS.values()))
    with pytest.warns(UserWarning, match="not in available"), caplog.at_level(logging.INFO):
        assert load(path, device="auto")._session.device == "cpu"
    assert "device tensorrt is passed over" in caplog.text
    assert "device cuda is passed over" in caplog.text
    with pytest.warns(UserWarning, match="not in available"), pytest.raises(WeightsError, match="does not start"):
        load(path, device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_gpu_scores_as_the_cpu_does(path: Path, device: Any) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime offers no CUDA here")
    found = load(path, device=device)
    assert found._session.device != "cpu"
    for text in ("prove the theorem", "hello", "证明"):
        assert found.score(user(text)).value == pytest.approx(
            load(path, device="cpu").score(user(text)).value, abs=1e-4
        )


def test_a_run_stays_in_the_calling_thread(classifier: EncoderClassifier) -> None:
    options = classifier._session._opened.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_rows_of_any_number_and_length_run_together(classifier: EncoderClassifier) -> None:
    prove = 4
    rows = [[prove] * (1 + place % 7) for place in range(150)]
    assert np.allclose(classifier._session.logits(rows), [3.0 * len(row) for row in rows])
    assert classifier._session.logits([]) == []


# --- choosing --------------------------------------------------------------------------------------


def test_the_configuration_chooses_an_encoder(path: Path) -> None:
    chosen = ClassifierOptions(use="encoder", weights=path, device="cpu").build()
    assert isinstance(chosen, EncoderClassifier)
    with pytest.raises(WeightsError, match="an encoder has no shipped weights"):
        ClassifierOptions(use="encoder").build()


def test_without_its_libraries_it_says_how_to_get_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "tokenizers"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(
                WeightsError, match=rf"{name} cannot be imported.*uv pip install onnxruntime tokenizers"
            ):
                load(path, device="cpu")


def test_a_gateway_without_an_encoder_loads_none_of_its_libraries() -> None:
    code = (
        "import sys, router.app, classifier.linear, classifier.encoder; "
        "from classifier.options import ClassifierOptions; ClassifierOptions(use='rules').build(); "
        "print(sorted({'onnxruntime', 'tokenizers', 'onnx', 'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).strip() == "[]"


def test_serving_an_encoder_loads_neither_torch_nor_onnx(path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from classifier.encoder import load; load(Path({str(path)!r})); "
        "print(sorted({'onnx', 'torch', 'transformers', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).strip() == "[]"
