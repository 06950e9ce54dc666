"""Tests of `backends/engines/torch_engine/spelling.py`."""

from collections.abc import Sequence

import pytest

from backends.engines.torch_engine.spelling import BytePieces, DecodedPieces, Speller, Text, byte_of_symbol

SENTENCE = "naïve 世界 🙂!"


def byte_speller() -> Speller:
    return BytePieces(lambda token: bytes((token,)))


def decoded_speller(before: Sequence[int] = ()) -> Speller:
    return DecodedPieces(lambda ids: bytes(ids).decode("utf-8", "replace"), before)


@pytest.mark.parametrize("speller", [byte_speller, decoded_speller])
def test_no_piece_ends_inside_a_character(speller: type[Speller]) -> None:
    one = speller()
    pieces = [one.push(byte) for byte in SENTENCE.encode()]
    assert "".join(pieces) + one.flush() == SENTENCE
    assert all(len(piece) <= 1 for piece in pieces)
    assert "\ufffd" not in "".join(pieces)


@pytest.mark.parametrize("speller", [byte_speller, decoded_speller])
def test_half_a_character_at_the_end_is_shown_as_none(speller: type[Speller]) -> None:
    one = speller()
    assert [one.push(byte) for byte in "é世".encode()[:-1]] == ["", "é", "", ""]
    assert one.flush() == "\ufffd"
    assert one.flush() == ""


def test_a_leading_space_stays_where_the_answer_goes_on_from_a_text() -> None:
    def decode(ids: Sequence[int]) -> str:
        return bytes(ids).decode().removeprefix(" ")  # as SentencePiece does

    assert DecodedPieces(decode, b"once").push(ord(" ")) == " "
    begun = DecodedPieces(decode, ())
    assert [begun.push(byte) for byte in b" a b"] == ["", "a", " ", "b"]


def text_of(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    alphabet = list(pieces)
    text = Text(BytePieces(lambda token: alphabet[token].encode()), stops)
    shown = [text.push(token) for token in range(len(alphabet))]
    return [*shown, text.flush()], text.stopped


def test_a_stop_text_ends_the_answer_and_is_not_shown() -> None:
    assert text_of(["one ", "tw", "o three"], ["two"]) == (["one ", "", "", ""], True)
    assert text_of(["a", "b", "STOP", "c"], ["STOP"]) == (["a", "b", "", "", ""], True)


def test_what_might_become_a_stop_text_is_held_back_until_it_does_not() -> None:
    assert text_of(["a\n", "\nb", "c"], ["\n\n\n"]) == (["a", "\n\nb", "c", ""], False)
    assert text_of(["ab", "ab"], ["abc"]) == (["", "ab", "ab"], False)


def test_the_first_of_several_stop_texts_counts() -> None:
    assert text_of(["x yes no"], ["no", "yes"]) == (["x ", ""], True)


def test_symbols_of_a_byte_level_tokenizer_are_its_bytes() -> None:
    assert byte_of_symbol("Ġthe") == b" the"
    assert byte_of_symbol("Ċ") == b"\n"
    assert byte_of_symbol("ä¸ĸ").decode() == "世"
    assert byte_of_symbol("<世>") == "<世>".encode()
