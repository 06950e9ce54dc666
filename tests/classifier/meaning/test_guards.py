"""Tests classifier/meaning/guards.py, classifier/meaning/tokens.py, classifier/meaning/lexicon.py.

And the lists of classifier/meaning/english.py and classifier/meaning/chinese.py.
"""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.meaning.guards import MAX_CHARACTERS, Parsed, parse
from classifier.meaning.pairs import pairs
from classifier.meaning.reader import StaticReader
from classifier.meaning.vectors import load

VOCABULARY = load()
READER = StaticReader(VOCABULARY)
QUESTIONS = tuple(pair.one for pair in pairs("measuring", different=400, same=200, seed=7))
ENGLISH = tuple(question for question in QUESTIONS if question.isascii())


def parsed(text: str) -> Parsed:
    found = parse(text, VOCABULARY)
    assert found is not None, text
    return found


def guarded(one: str, other: str) -> bool:
    """Tell whether guards alone keep two texts apart."""
    first, second = parsed(one), parsed(other)
    return (first.kinds, first.hard) != (second.kinds, second.hard)


def alike(one: str, other: str) -> float:
    first, second = READER.read_now(one), READER.read_now(other)
    return 0.0 if first is None or second is None else READER.similarity(first, second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is the shop open?", "is the shop not open?"),
        ("can I eat this?", "can't I eat this?"),
        ("can I eat this?", "cant I eat this?"),
        ("is it ever safe?", "is it never safe?"),
        ("pin the post", "unpin the post"),
        ("3 days or 5 days?", "5 days or 3 days?"),
        ("order 512", "order 521"),
        ("1.5 liters", "15 liters"),
        ("-5 degrees", "5 degrees"),
        ("2 + 2", "2 - 2"),
        ("2 + 3 * 4", "(2 + 3) * 4"),
        ("50% of it", "50 of it"),
        ("x² is what?", "x2 is what?"),
        ("5! is what", "5 is what"),
        ("trips to Paris", "trips to Rome"),
        ("trips to paris", "trips to rome"),
        ("trains from Paris to Rome", "trains from Rome to Paris"),
        ("a letter to Anna", "a letter by Anna"),
        ('translate "good day"', 'translate "good night"'),
        ("file a.txt", "file b.txt"),
        ("is C# fast", "is C fast"),
        ("is C++ fast", "is C fast"),
        ("seat A320", "seat 320"),
        ("see https://a.example/x", "see https://a.example/y"),
        ("open on Monday", "open on Tuesday"),
        ("five kg of rice", "five lb of rice"),
        ("ten dollars", "ten euros"),
        ("before lunch", "after lunch"),
        ("older than rock", "younger than rock"),
        ("the fastest train", "the slowest train"),
        ("all books", "some books"),
        ("who sings this?", "when do they sing this?"),
        ("how many books?", "how much is the book?"),
        ("how do I swim?", "can I swim?"),
        ("can I send you money?", "can you send me money?"),
        ("should I call you?", "should you call me?"),
        ("what did he say?", "what did she say?"),
        ("did it rain?", "will it rain?"),
        ("a or b or cake", "a and b and cake"),
        ("turn the light on", "turn the light off"),
        ("norrvik lamps", "sorrvik lamps"),
        ("ich komme nicht", "ich komme"),
        ("¿es caro?", "¿no es caro?"),
        ("今天开门吗？", "今天不开门吗？"),
        ("我可以吃吗？", "我不可以吃吗？"),
        ("有没有房间？", "没有房间？"),
        ("三天", "五天"),
        ("第三行", "第五行"),
        ("张伟来了", "李伟来了"),
        ("去法国的火车", "从法国来的火车"),
        ("最高的山", "最低的山"),
        ("谁做饭？", "什么时候做饭？"),
        ("《红楼梦》讲什么？", "《水浒传》讲什么？"),
        ("订单512", "订单521"),
        ("what does x = y do", "what does x != y do"),
        ("what does x = y do", "what does x！= y do"),
        ("is it !important", "is it important"),
        ("how do you say please in French", "how do you say in French"),
        ("what does thanks mean in German", "what does it mean in German"),
        ("where is the milk?", "牛奶在哪里？"),
        ("狗被猫咬了", "狗把猫咬了"),
        ("明天去北京", "明天来北京"),
    ],
)
def test_what_asks_for_something_else_never_means_the_same(one: str, other: str) -> None:
    assert guarded(one, other), (parsed(one), parsed(other))
    assert alike(one, other) == alike(other, one) == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset my password"),
        ("How do I reset my password?", "Hi there, could you please tell me how to reset my password? Thank you!"),
        ("When does the shop open?", "Do you know at what time the shop opens?"),
        ("What is the price of the lamp?", "please tell me the price of the lamp"),
        ("What's the price?", "what is the price"),
        ("2 lamps", "two lamps"),
        ("I purchased a bicycle", "I bought a bike"),
        ("Is it possible to swim here?", "Can I swim here?"),
        ("Ｈｏｗ do I swim？", "how do I swim?"),
        ("how do I sw\u200bim?", "how do I swim?"),
        ("the price of the café", "the price of the cafe\u0301"),
        ("怎么取消订单512？", "您好，请问如何取消订单512？谢谢！"),
        ("可不可以退货？", "可以退货吗？"),
        ("周一开门吗", "星期一营业吗？"),
        ("你知道谁做饭吗？", "谁做饭？"),
    ],
)
def test_another_wording_of_the_same_passes_the_guards(one: str, other: str) -> None:
    assert not guarded(one, other), (parsed(one), parsed(other))
    assert alike(one, other) > 0.6


def test_code_is_not_read_since_white_space_tells_it_apart() -> None:
    assert parsed("explain def twice(price):\nreturn price")
    for indent in (" ", "  ", "\t"):
        assert parse(f"explain def twice(price):\n{indent}return price", VOCABULARY) is None


def test_a_text_that_is_too_long_or_says_nothing_is_not_read() -> None:
    assert parse("a" * (MAX_CHARACTERS + 1), VOCABULARY) is None
    for text in ("", "   ", "?!", "hello", "thank you", "你好", "请问"):
        assert parse(text, VOCABULARY) is None, text


@given(st.sampled_from(QUESTIONS), st.sampled_from(QUESTIONS))
def test_similarity_is_symmetric(one: str, other: str) -> None:
    assert alike(one, other) == pytest.approx(alike(other, one), abs=1e-6)


@given(st.sampled_from(ENGLISH), st.integers(min_value=0, max_value=30), st.sampled_from(["not", "never", "no"]))
def test_not_put_anywhere_breaks_the_match(question: str, place: int, word: str) -> None:
    words = question.split()
    place = place % (len(words) + 1)
    other = " ".join((*words[:place], word, *words[place:]))
    if '"' not in question:
        assert alike(question, other) == 0.0


@given(st.sampled_from([each for each in QUESTIONS if any(sign in string.digits for sign in each)]), st.data())
def test_any_changed_digit_breaks_the_match(question: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([at for at, sign in enumerate(question) if sign in string.digits]))
    digit = data.draw(st.sampled_from([sign for sign in string.digits if sign != question[place]]))
    assert alike(question, f"{question[:place]}{digit}{question[place + 1 :]}") == 0.0


@given(st.sampled_from(QUESTIONS))
def test_a_question_means_what_it_means(question: str) -> None:
    assert alike(question, question) == 1.0
    assert alike(question, f"  {question}  ") == 1.0


@settings(max_examples=300)
@given(st.text(max_size=120))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = READER.read_now(text)
    if found is not None:
        assert READER.similarity(found, found) == 1.0


@settings(max_examples=100)
@given(st.text(alphabet=string.ascii_letters + string.digits + " .,!?'\"-+*/()#@$%", max_size=120))
def test_any_plain_text_is_read_without_an_error(text: str) -> None:
    READER.read_now(text)
