"""Tests `classifier/verifying/answers.py`, with `conclusions.py` and `forms.py` beside it.

Equal answers are equal: classifier/verifying/conclusions.py, classifier/verifying/forms.py.
"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.base import Kind, Prompt, Turn
from classifier.verifying.answers import HEAD, TAIL, Answer, agree, asked_for, capped, extract, wanted_by
from classifier.verifying.conclusions import conclusions
from classifier.verifying.forms import code_of, json_of

NUMBERS = [
    ("57", 57.0),
    ("#### 57", 57.0),
    ("\\boxed{57}", 57.0),
    ("So it is $\\boxed{57\\text{ dollars}}$.", 57.0),
    ("$57.00", 57.0),
    ("57 dollars", 57.0),
    ("The answer is 57%.", 57.0),
    ("**Answer:** 57 eggs", 57.0),
    ("### Final Answer\n\n57", 57.0),
    ("The total is 1,234,567.5 euro.", 1_234_567.5),
    ("\\boxed{-\\dfrac{3}{5}}", -0.6),
    ("The answer is 3/5.", 0.6),
    ("You need 1 1/2 cups", 1.5),
    ("\\boxed{x=5}", 5.0),
    ("The answer is .5", 0.5),
    ("Answer: -5", -5.0),
    ("5-3", 3.0),
    ("3.5 million people", 3.5e6),
    ("答案是五十七。", 57.0),
    ("答案：５７", 57.0),
    ("因此，小明一共付了57元。", 57.0),
    ("一共有三个苹果", 3.0),
    ("约3万人", 30_000.0),
    ("百分之五十", 50.0),
    ('{"reasoning": "16 - 3 = 13", "answer": "$57.00"}', 57.0),
]


@pytest.mark.parametrize(("reply", "value"), NUMBERS)
def test_a_number_is_the_same_however_it_is_written(reply: str, value: float) -> None:
    found = extract(reply)
    assert found is not None
    assert found.kind is Kind.NUMBER
    assert agree(found, Answer(Kind.NUMBER, value))


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("She has 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\nShe makes 9 * 2 = $<<9*2=18>>18 a day.\n#### 18", 18.0),
        ("She has 16-3-4=9 eggs. Each sells for $2. Therefore she makes 9 * $2 = $18 per day.", 18.0),
        ("The answer is 9 * 2 = 18.", 18.0),
        ("The answer is 57 dollars and 3 are left.", 57.0),
        ("The answer is that over 5 days she makes $30.", 30.0),
        ("All in all he paid **$57** for 3 shirts", 57.0),
        ("The final answer is 57. I checked it in 2 ways.", 57.0),
        ("The answer is 5, no: the answer is 6.", 6.0),
        ("1. Add 5.\n2. Multiply by 3.\nSo we get 15.", 15.0),
        ("Therefore, the final answer is: $\\boxed{18}$. It took 3 steps.", 18.0),
        ("答案是18元，其中2元是运费。", 18.0),
    ],
)
def test_the_stated_conclusion_goes_before_other_numbers(reply: str, value: float) -> None:
    found = extract(reply)
    assert found is not None
    assert found == Answer(Kind.NUMBER, value, marked=True)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The answer is (B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("答案：B", "B"),
        ("故选B。", "B"),
        ("所以选择B", "B"),
        ("[正确答案]B<eoa>", "B"),
        ("正确选项是B", "B"),
        ("B. Paris is the capital of France.", "B"),
        ("The correct answer is **B**: because of 5 things.", "B"),
        ("The answer is B because 3 is prime.", "B"),
        ("The correct option is B.", "B"),
        ("Correct choice: (B)", "B"),
        ("\\boxed{\\text{B}}", "B"),
        ('{"answer": "B"}', "B"),
    ],
)
def test_a_choice_is_its_letter(reply: str, letter: str) -> None:
    found = extract(reply)
    assert found is not None
    assert (found.kind, found.value) == (Kind.CHOICE, letter)


def test_an_article_and_a_pronoun_are_no_choices() -> None:
    for reply in ("A man walked 5 miles.", "The answer is a number, 5.", "I think 5."):
        found = extract(reply)
        assert found is not None
        assert found.kind is Kind.NUMBER


def test_where_the_prompt_has_options_a_letter_goes_before_numbers() -> None:
    reply = "Option (A) is 4 m/s, (B) is 5 m/s. As 20 / 4 = 5, the second is right, so (B)."
    found = extract(reply, wanted=Kind.CHOICE)
    assert found is not None
    assert (found.kind, found.value) == (Kind.CHOICE, "B")
    unmarked = extract("Therefore 5, which is (B)", wanted=Kind.NUMBER)
    assert unmarked is not None
    assert unmarked.value == 5.0


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Yes, it is.", "yes"),
        ("no", "no"),
        ("The answer is True.", "yes"),
        ("不是。", "no"),
        ("是的，可以。", "yes"),
        ("答案：错误", "no"),
    ],
)
def test_yes_and_no_are_told_in_both_languages(reply: str, value: str) -> None:
    found = extract(reply)
    assert found is not None
    assert (found.kind, found.value) == (Kind.VERDICT, value)


def test_dates_and_times_have_one_form() -> None:
    for replies in (
        ("2024-03-05", "March 5, 2024", "2024年3月5日", "It was on 5th of March, 2024.", "The answer is Mar 5 2024."),
        ("15:45", "It starts at 3:45 pm.", "下午3点45分"),
    ):
        found = [extract(reply) for reply in replies]
        assert all(one is not None and one.kind is Kind.MOMENT for one in found), found
        assert all(agree(found[0], one) for one in found)


def test_json_is_compared_by_what_it_says() -> None:
    one, other = '{"b": 1.0, "a": [2]}', '```json\n{"a": [2],\n "b": 1}\n```'
    assert agree(extract(one), extract(other))
    assert not agree(extract(one), extract('{"b": 1, "a": [3]}'))
    said = json_of('{"answer": true}')
    assert said is not None
    assert said.answer == "True"
    assert json_of("{" * 5_000) is None
    assert json_of("[" * 100_000) is None


def test_code_is_compared_without_comments_and_sql_without_case() -> None:
    assert agree(
        extract("Here:\n```sql\nSELECT  a FROM t; -- all\n```\nDone."),
        extract("select a\nfrom T"),
    )
    assert not agree(extract("```python\nx = A\n```"), extract("```python\nx = a\n```"))
    assert code_of("```python\nx = 1  # one\n```\nand\n```\na_longer_one = 2 + 3\n```")[1] == "a_longer_one = 2 + 3"
    found = extract("```python\nprint(5 * 3)\n```\nThe answer is 15.")
    assert found is not None
    assert found.value == 15.0


def test_thoughts_and_a_question_that_the_model_asks_itself_are_left_out() -> None:
    for reply in (
        "<think>The answer is 5.</think>\nShe has 6",
        "She has 6 in all.\n\nQ: How many apples are 5 and 6?\nA: The answer is 11.",
    ):
        found = extract(reply)
        assert found is not None
        assert found.value == 6.0


def test_an_expression_is_compared_as_text() -> None:
    assert extract("so $\\boxed{2\\sqrt{3}}$") == Answer(Kind.TEXT, "2\\sqrt{3}", marked=True)
    assert agree(extract("\\boxed{(3, 5)}"), extract("\\boxed{ (3,5) }"))
    assert not agree(extract("\\boxed{(3, 5)}"), extract("35"))


def test_short_text_is_its_own_answer_and_long_text_has_none() -> None:
    assert agree(extract("Paris."), extract("the answer is: Paris"))
    assert extract("") is None
    assert extract(" \n\t ") is None
    assert extract("Words and more words go on here without any figure. " * 5) is None


def test_numbers_agree_within_one_in_a_million_and_kinds_never_mix() -> None:
    assert agree(Answer(Kind.NUMBER, 1e6), Answer(Kind.NUMBER, 1e6 + 0.5))
    assert not agree(Answer(Kind.NUMBER, 1e6), Answer(Kind.NUMBER, 1e6 + 2))
    assert not agree(Answer(Kind.NUMBER, 5.0), Answer(Kind.TEXT, "5"))
    assert not agree(None, None)


def test_a_prompt_tells_what_form_it_asks_for() -> None:
    for prompt in (
        "Which one?\n(A) this\n(B) that",
        "Which one?\nA. this\nB. that\nAnswer:",
        "以下哪个正确? A：甲；B：乙；C：丙",
    ):
        assert asked_for(prompt) is Kind.CHOICE
    assert asked_for("How many eggs are left?") is Kind.NUMBER
    assert asked_for("一共多少钱？") is Kind.NUMBER
    assert asked_for("Write a poem about A. B. Smith.") is None


def test_what_the_last_user_turn_asks_for_is_wanted() -> None:
    turns = (Turn("user", "Which?\n(A) x\n(B) y"), Turn("assistant", "(A)"), Turn("user", "How many are there?"))
    assert wanted_by(Prompt(turns)) is Kind.NUMBER
    assert wanted_by(Prompt((*turns, Turn("tool", "x")))) is Kind.NUMBER
    assert wanted_by(Prompt(turns[:2])) is Kind.CHOICE
    assert wanted_by(Prompt((Turn("system", "How many?"),))) is None
    assert wanted_by(Prompt(())) is None


def test_the_last_number_is_found_wherever_it_stands() -> None:
    filler = "and on it goes, word by word, " * 12
    for said, value in (("7", 7.0), ("1,234.5", 1234.5), ("3 million", 3e6), ("2 1/2", 2.5), ("-4", -4.0)):
        for text in (f"{filler} it takes {said}", f"{filler} it takes {said} or so, {filler[:300]}"):
            assert extract(text) == Answer(Kind.NUMBER, value)
    assert extract(f"{filler} it takes {'9' * 70}") == Answer(Kind.NUMBER, float("9" * 70))


def test_marks_come_strongest_first() -> None:
    text = "The answer is 3. \\boxed{5} so **4** #### 2"
    assert [piece.text.strip(" *") for piece in conclusions(text)][:4] == ["5", "2", "3", "4"]


def test_long_replies_are_read_at_both_ends() -> None:
    reply = f"The answer is 5. {'x' * 1_000_000}"
    assert len(capped(reply)) == HEAD + TAIL + 1
    found = extract(reply)
    assert found is not None
    assert found.value == 5.0
    assert extract(f"{'x ' * 1_000_000}#### 7") == Answer(Kind.NUMBER, 7.0, marked=True)


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "1,", "1,000", "1.", "-", "$", "=", "(", "((", "\\boxed{", "{", "[", "#", "#### ", "```", "*", "**a"),
        *("answer", "answer is ", "the answer is (", "答案", "答案是", "选", "一", "一千", "万", "A.", "(A)", "A "),
        *(
            "so ",
            "1/",
            "1 1/",
            "\\frac{",
            "\\frac{1}{",
            "\\text{",
            "12:",
            "1 1",
            "\n",
            " ",
            "\nQ:",
            "3点",
            "Mar 1",
            "e5",
        ),
    ],
)
def test_a_megabyte_of_anything_is_read_in_a_moment(piece: str) -> None:
    reply = piece * (1_000_000 // len(piece))
    started = time.process_time()
    extract(reply)
    asked_for(reply)
    assert time.process_time() - started < 0.25


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from("the answer is 答案 ( A ) 1 , . / = \\boxed{ } ``` 点 -".split())).map("".join)
)
@settings(max_examples=300, deadline=None)
def test_no_text_is_refused_and_every_answer_agrees_with_itself(reply: str) -> None:
    found = extract(reply)
    assert found is None or agree(found, found)
