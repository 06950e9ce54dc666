"""Tests of `backends/engines/torch_engine/tokenising.py`, with tokenizers that mistral-common brings along."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("transformers")
mistral_common = pytest.importorskip("mistral_common")

from backends.engines.base import ModelRefused, Refused  # noqa: E402 - needs transformers
from backends.engines.torch_engine.tokenising import Message, Part, Tokenizer, open_tokenizer  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_tokenizer  # noqa: E402

SENTENCE = "naïve 世界 🙂, it costs 12 euro."
FILES = {
    "tekken": ("tekken_240718.json", "tekken.json"),
    "sentencepiece": ("mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3"),
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    root = tmp_path_factory.mktemp("tokenizers")
    opened: dict[str, Tokenizer] = {}
    for name, (bundled, file) in FILES.items():
        if name == "sentencepiece" and find_spec("sentencepiece") is None:
            continue
        (root / name).mkdir()
        shutil.copy(Path(mistral_common.__file__).parent / "data" / bundled, root / name / file)
        opened[name] = open_tokenizer(root / name)
    write_tokenizer(root / "own")
    return {**opened, "own": open_tokenizer(root / "own")}


@pytest.fixture(params=["tekken", "sentencepiece", "own"])
def tokenizer(request: pytest.FixtureRequest, tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    if request.param not in tokenizers:
        pytest.skip("the package sentencepiece is not installed")
    return tokenizers[request.param]


@pytest.fixture(params=["tekken", "sentencepiece"])
def theirs(request: pytest.FixtureRequest, tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    """One of Mistral's own."""
    if request.param not in tokenizers:
        pytest.skip("the package sentencepiece is not installed")
    return tokenizers[request.param]


def test_a_text_comes_back_token_by_token(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(SENTENCE)
    speller = tokenizer.speller(())
    pieces = [speller.push(token) for token in ids]
    assert "".join(pieces) + speller.flush() == SENTENCE
    assert "\ufffd" not in "".join(pieces)
    assert max(ids) < tokenizer.size


def test_pieces_are_the_bytes_of_the_text(tokenizer: Tokenizer) -> None:
    joined = b"".join(tokenizer.piece(token) for token in tokenizer.encode(SENTENCE))
    assert joined.decode().removeprefix(" ") == SENTENCE


def test_special_tokens_are_no_text(tokenizer: Tokenizer) -> None:
    (end,) = tokenizer.ends
    speller = tokenizer.speller(())
    assert speller.push(end) == ""
    assert tokenizer.piece(end) == b""
    assert tokenizer.prompt("a")[0] != tokenizer.encode("a")[0]  # begins with a token of its own


def test_a_chat_is_written_as_mistral_common_writes_it(theirs: Tokenizer) -> None:
    ids = theirs.chat([Message("user", "hello")])
    words = [theirs.piece(token) for token in ids]
    assert b"".join(words).decode().strip() == "hello"  # [INST] is a token, not text
    assert len(ids) <= 5
    longer = [Message("system", "be kind"), Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    assert len(theirs.chat(longer)) > len(ids)


def test_a_chat_is_written_by_the_folders_own_template(tokenizers: dict[str, Tokenizer]) -> None:
    own = tokenizers["own"]
    ids = own.chat([Message("developer", "kind"), Message("user", [Part("a"), Part("b")])])
    assert ids == [own.prompt("")[0], *own.encode("kind\n[INST] a\nb [/INST]")]


def test_what_the_template_cannot_write_is_refused(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    with pytest.raises(Refused, match="template refuses"):
        tokenizers["tekken"].chat([Message("assistant", "first")])
    write_tokenizer(tmp_path, template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(Refused, match="roles must alternate"):
        open_tokenizer(tmp_path).chat([Message("user", "a")])


def test_without_a_template_only_prompts_can_be_continued(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, template=None)
    tokenizer = open_tokenizer(tmp_path)
    with pytest.raises(Refused, match="no chat template"):
        tokenizer.chat([Message("user", "a")])
    assert tokenizer.prompt("a")


def test_a_folder_without_a_tokenizer_or_with_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"tokenizer\.json, tekken\.json or"):
        open_tokenizer(tmp_path)
    (tmp_path / "tekken.json").write_text("{}")
    with pytest.raises(ModelRefused, match="cannot read the tokenizer"):
        open_tokenizer(tmp_path)
