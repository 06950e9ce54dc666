"""Reply -> the answer that it gives, in a form in which equal answers are equal.

What it states as its conclusion goes first, then the form of the whole (JSON, code, a letter, yes or no), then the
last number, then a short text as it stands. Rules alone, English and Chinese: knows no model, no task and no truth.
Looks at head and tail of long replies, so that the cost is bounded: it is spent on the gateway's loop. Never raises.
"""

import math
import re
from dataclasses import dataclass

from classifier.base import Kind, Prompt
from classifier.verifying.conclusions import Piece, conclusions
from classifier.verifying.forms import code_of, json_of
from classifier.verifying.quantities import Found, chinese_number, moment, numbers, plain

HEAD, TAIL = 1_024, 2_048  # characters that are looked at
CLOSE = 1e-6  # relative difference below which two numbers are equal
_SHORT = 80  # characters of a reply that is its own answer
_BRIEF = 200  # characters of a reply in which a date is the answer
_FEW = 400  # characters at the end in which an unmarked number counts
_LAST = 60  # of those, characters up to the last digit that are looked at first
_MAGNITUDE = 12  # characters after a number in which "million" stands
_NEAR = 12  # characters after "the answer is" in which a Chinese numeral or a date is the answer


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a reply is looked at.

    Attributes:
        text: its head and tail, or all of a short one.
        plain: the same, see `classifier.verifying.quantities.plain`.
    """

    text: str
    plain: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply says.

    Attributes:
        value: canonical: a number, a capital letter, "yes" or "no", or normalised text.
        marked: the reply itself names it as its conclusion.
    """

    kind: Kind
    value: str | float
    marked: bool = False


def extract(reply: str, *, wanted: Kind | None = None) -> Answer | None:
    """Return the answer of a reply; None where there is nothing that could be one.

    Args:
        reply: any text, of any size.
        wanted: the form that the prompt asks for; it goes first where the reply has it. None takes what is there.
    """
    return answer_of(read(reply), wanted=wanted)


def read(reply: str) -> Reading:
    """Return what of a reply is looked at."""
    text = capped(reply)
    return Reading(text, plain(text))


def answer_of(reading: Reading, *, wanted: Kind | None = None) -> Answer | None:
    """Return the answer of a reply that was read; see `extract`."""
    whole = _own_part(reading.text)
    document = json_of(whole)
    if document is not None:
        said = document.answer
        return Answer(Kind.JSON, document.text) if said is None else _whole(plain(said).strip(), None)
    outside, code = code_of(whole)
    block = Answer(Kind.CODE, code) if code else None
    if block is not None and wanted is Kind.CODE:
        return block
    text = (reading.plain if outside == reading.text else plain(outside)).strip()
    stated = _stated(text, wanted)
    if stated is None or (wanted is not None and stated.kind is not wanted):
        formed = block or _formed(text, wanted)
        if stated is None or (formed is not None and formed.kind is wanted):
            return formed
    return stated


def agree(one: Answer | None, other: Answer | None) -> bool:
    """Tell whether two replies give the same answer; where one gives none, they do not."""
    if one is None or other is None or one.kind is not other.kind:
        return False
    if isinstance(one.value, float) and isinstance(other.value, float):
        return math.isclose(one.value, other.value, rel_tol=CLOSE, abs_tol=CLOSE * CLOSE)
    return one.value == other.value


def asked_for(prompt: str) -> Kind | None:
    """Return the form of answer that a prompt asks for; None where it does not say so."""
    text = plain(capped(prompt))
    if _has_options(text):
        return Kind.CHOICE
    lower = text.lower()
    return Kind.NUMBER if any(form.search(lower) for form in _ASKS_NUMBER) else None


def wanted_by(prompt: Prompt) -> Kind | None:
    """Return the form of answer that the last user turn asks for; None where it does not say so."""
    return asked_for(next((turn.text for turn in reversed(prompt.turns) if turn.role == "user"), ""))


def capped(text: str) -> str:
    """Return head and tail of a long text, the whole of a short one."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


# --- the prompt --------------------------------------------------------------------------------------

# Each begins with what is seldom, so that prose is passed over quickly.
_OPTIONS = tuple(re.compile(rf"{letter}(?<![A-Za-z0-9]{letter})[.):、]") for letter in "ABC")
_ASKS_NUMBER = tuple(
    re.compile(form)
    for form in (
        r"how (?<!\whow )(?:many|much|old|far|tall)\b",
        r"what (?<!\wwhat )(?:is|was) the (?:total|sum|number)\b",
        "多少",
        "几[个天岁元只本]",
    )
)


def _has_options(text: str) -> bool:
    """Tell whether options A and B stand on lines of their own, or A, B and C after one another."""
    first = _OPTIONS[0].search(text)
    second = first and _OPTIONS[1].search(text, first.end())
    if not first or not second:
        return False
    return "\n" in text[first.end() : second.start()] or _OPTIONS[2].search(text, second.end()) is not None


# --- what of a reply is looked at --------------------------------------------------------------------

_NEXT_QUESTION = re.compile(r"\n[^\S\n]{0,8}+(?:\*\*)?(?:Q|Question|Problem|Human|User|问题|题目)\s?\d{0,4}\s?[:：]")


def _own_part(text: str) -> str:
    """Return the reply without its thoughts, and without the next question that a base model asks itself."""
    text = text.rpartition("</think>")[2]
    following = _NEXT_QUESTION.search(text, 1)
    return text[: following.start()] if following and text[: following.start()].strip() else text


# --- a piece of text -----------------------------------------------------------------------------------

_LETTER = re.compile(
    r"[\s*_\"'$]{0,4}(?:(?i:option|choice)\s{0,2}|选项?|是)?[\s*_\"'$]{0,4}"
    r"(?:[(\[](?P<in>[A-J])[)\]]|(?P<bare>[A-J])(?![A-Za-z0-9'’_/+^=-]))(?P<after>[*_\"'$]{0,3}[.),、。<]?)"
)
_LETTER_INSIDE = re.compile(r"\((?P<in>[A-J])\)|(?<![A-Za-z0-9_'’\\])(?P<bare>[B-HJ])(?![A-Za-z0-9_'’(=])")
_PROSE = re.compile(r"\s+[a-z]")
_VERDICT = re.compile(
    r"[\s*_\"']{0,4}(?:(?P<yes>(?i:yes|true)\b|正确|是的|是(?!\w)|对的?(?!\w)|可以(?!\w)|成立)"
    r"|(?P<no>(?i:no|false)\b|不正确|错误|不是|错的?(?!\w)|不对|不可以|不能|否(?!\w)|不成立))"
)
_PURE = re.compile(r"[\sA-Za-z$€£¥%.,。个只元块天年月日岁]*")  # what may stand around a number that is all there is
_NAMED = re.compile(r"[\sA-Za-z()]{1,20}=")
_GOES_ON = re.compile(r"\s?[\\^√π]|[a-z]\s?[-+*/^=]")  # after a number that is only part of an expression
_BARE = re.compile(r"\W{0,12}(?:(?i:about|around|approximately|roughly|exactly|only|just)|大?约|共)?\W{0,6}")
_LIST_ITEM = re.compile(r"(?m)^\s{0,12}\d{1,3}[.)]\s")
_EQUATION_END = re.compile(r"=[^=\d]{0,12}$")


def _stated(text: str, wanted: Kind | None) -> Answer | None:
    """Return the answer that the reply names as its conclusion."""
    for piece in conclusions(text):
        found = _of_piece(piece, wanted)
        if found is not None:
            return found
    return None


def _of_piece(piece: Piece, wanted: Kind | None) -> Answer | None:
    text = piece.text.strip().strip("$*\"'` ").strip()
    if not text:
        return None
    if piece.weak:
        letter = _letter(text, wanted) if wanted is Kind.CHOICE else None
        number = None if wanted is Kind.CHOICE else _last(numbers(text), text)
        if letter:
            return Answer(Kind.CHOICE, letter, marked=True)
        return None if number is None else Answer(Kind.NUMBER, number, marked=True)
    return _whole(text, wanted) if piece.whole else _beginning(text, wanted)


def _whole(text: str, wanted: Kind | None) -> Answer | None:
    """Return the answer that is all of a text, such as what stands in a box."""
    formed = _letter_or_verdict(text, wanted)
    if formed is not None:
        return formed
    text = _NAMED.sub("", text, count=1)
    found = numbers(text)
    if len(found) == 1 and _PURE.fullmatch(text[: found[0].start]) and _PURE.fullmatch(text[found[0].end :]):
        return Answer(Kind.NUMBER, found[0].value, marked=True)
    said = moment(text)
    if said:
        return Answer(Kind.MOMENT, said, marked=True)
    chinese = None if found else chinese_number(text)
    if chinese:
        return Answer(Kind.NUMBER, chinese.value, marked=True)
    normal = "".join(text.split()).casefold()
    return Answer(Kind.TEXT, normal, marked=True) if normal else None


def _beginning(text: str, wanted: Kind | None) -> Answer | None:
    """Return the answer that a text begins with, such as what follows "the answer is"."""
    formed = _letter_or_verdict(text, wanted)
    if formed is not None:
        return formed
    found = numbers(text)
    if wanted is not Kind.NUMBER:
        said = moment(text[: _NEAR * 3])
        if said:
            return Answer(Kind.MOMENT, said, marked=True)
    if found and (wanted is Kind.NUMBER or not _GOES_ON.match(text, found[0].end)):
        is_first = "=" not in text and _BARE.fullmatch(text, 0, found[0].start)
        number = found[0].value if is_first else _last(found, text)
        return None if number is None else Answer(Kind.NUMBER, number, marked=True)
    chinese = None if found else chinese_number(text[:_NEAR])
    if chinese:
        return Answer(Kind.NUMBER, chinese.value, marked=True)
    normal = _normal(text)
    return Answer(Kind.TEXT, normal, marked=True) if normal and len(text) <= _SHORT else None


def _letter_or_verdict(text: str, wanted: Kind | None) -> Answer | None:
    letter = _letter(text, wanted) if wanted in (None, Kind.CHOICE) else None
    if letter:
        return Answer(Kind.CHOICE, letter, marked=True)
    verdict = _VERDICT.match(text) if wanted in (None, Kind.VERDICT) else None
    return Answer(Kind.VERDICT, "yes" if verdict["yes"] else "no", marked=True) if verdict else None


def _letter(text: str, wanted: Kind | None) -> str:
    """Return the option that a text begins with, and where one is wanted, the only one inside; "" for none."""
    found = _LETTER.match(text)
    if found and found["in"]:
        return found["in"]
    if found:
        bare, rest = found["bare"], text[found.end() :]
        closed, is_prose = found["after"] or not rest.strip(), _PROSE.match(rest) is not None
        is_word = bare in ("A", "I") and not closed and is_prose  # "A man", "I think"
        if not is_word and (closed or is_prose or wanted is Kind.CHOICE):
            return bare
    if wanted is Kind.CHOICE:
        inside = {one["in"] or one["bare"] for one in _LETTER_INSIDE.finditer(text)}
        if len(inside) == 1:
            return inside.pop()
    return ""


# --- the reply as a whole --------------------------------------------------------------------------------


def _formed(text: str, wanted: Kind | None) -> Answer | None:
    """Return the answer of a reply that names no conclusion."""
    found = _by_form(text, wanted)
    if found is not None or not text:
        return found
    number = _last_number(_LIST_ITEM.sub("", text[-_FEW:]))
    if number is not None:
        return Answer(Kind.NUMBER, number)
    chinese = chinese_number(text) if len(text) <= _SHORT else None
    if chinese:
        return Answer(Kind.NUMBER, chinese.value)
    normal = _normal(text) if len(text) <= _SHORT else ""
    return Answer(Kind.TEXT, normal) if normal else None


def _by_form(text: str, wanted: Kind | None) -> Answer | None:
    """Return a letter, a yes or a date where the reply begins with it, or is hardly more than that."""
    if wanted is Kind.CHOICE:
        letter = _letter(text[:_BRIEF], None) or _last_letter(text[-_FEW:])
        return Answer(Kind.CHOICE, letter) if letter else None
    if wanted is not None:
        return None
    formed = _letter_or_verdict(text[:_BRIEF], None)
    if formed is not None and not (formed.kind is Kind.CHOICE and "\n" in text and _has_options(text)):
        return Answer(formed.kind, formed.value)
    said = moment(text) if len(text) <= _BRIEF else None
    return Answer(Kind.MOMENT, said) if said else None


def _last_number(text: str) -> float | None:
    """Return the last number, looked for around the last digit at first: a long text without one costs little."""
    end = max(map(text.rfind, "0123456789")) + 1
    if not end:
        return None
    begin = max(0, end - _LAST)
    found = numbers(text[begin : end + _MAGNITUDE])
    if begin and len(found) == 1 and not found[0].start:
        found = numbers(text)
    return found[-1].value if found else None


def _last_letter(text: str) -> str:
    last = ""
    for found in _LETTER_INSIDE.finditer(text):
        last = found["in"] or found["bare"]
    return last


def _last(found: list[Found], text: str) -> float | None:
    """Return the number after the last equals sign that has one, or else the last number."""
    for one in reversed(found):
        if _EQUATION_END.search(text, max(0, one.start - 16), one.start):
            return one.value
    return found[-1].value if found else None


def _normal(text: str) -> str:
    """Return words alone, in lower case, without articles."""
    words = re.sub(r"[^\w\\{}^/+*=<>-]+", " ", text).casefold().split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))
