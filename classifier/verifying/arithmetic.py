"""Reply -> how many of its equations hold, and how many do not.

Looks at "a + b * c = d" between plain numbers and at nothing else: what holds a name, a unit, a bracket, a percent sign
or a power is left alone, as it may mean more than it says. A false equation is then strong evidence of a mistake.
Linear in the size of the text, and bounded.
"""

import re
from dataclasses import dataclass
from itertools import islice

_EQUATIONS, _TRIED = 8, 16  # equations and equals signs that are looked at
_LEFT, _RIGHT = 200, 48  # characters around an equals sign in which its equation must stand
_EQUALS = re.compile(r"=(?:(?<=\d=)|(?<=\d\s=))[\s*$€£¥]{0,8}+[-−]?[$€£¥]?\d")
_NUMBER = r"[$€£¥]?(?:\d{1,3}(?:,\d{3})++|\d{1,15}+)(?:\.\d{1,12}+)?"
_EQUATION = re.compile(  # it begins with a set of signs, so that prose is passed over quickly
    rf"[$€£¥\d](?<![A-Za-z0-9_.,^\\].)(?:(?<=\d)\d{{0,14}}+|\d{{1,15}}+)(?:,\d{{3}})*+(?:\.\d{{1,12}}+)?"
    rf"(?:\s?[-–−+*x×÷·/]\s?{_NUMBER}){{1,6}}+\s?=[\s*$€£¥]{{0,8}}+"
    rf"(?P<right>[-−]?{_NUMBER})(?!\s?[%^:])(?!\s?[-–−+*x×÷·/]\s?[\d($])(?![,.]?\d|\s\d)"
)
_TERM = re.compile(rf"\s?([-–−+*x×÷·/]?)\s?({_NUMBER})")
_BEFORE = 12  # characters
_LED_ON = tuple("-–−+*x×÷·/(^%:")  # what stands before belongs to the equation
_BULLET = re.compile(r"(?:^|\n)\s{0,8}(?:[-–*•]|\d{1,2}\)|[^\n]{1,10}:)\s+$")


@dataclass(frozen=True, slots=True)
class Equations:
    """How many equations could be reckoned again."""

    true: int
    false: int


def equations(text: str) -> Equations:
    """Return how many simple equations of a capped text are true and how many are false."""
    if "=" not in text:
        return Equations(0, 0)
    true = false = at = 0
    for sign in islice(_EQUALS.finditer(text), _TRIED):
        place = sign.start()
        found = _EQUATION.search(text, max(at, place - _LEFT), place + _RIGHT)
        at = place + 1  # no equation holds the sign of another one
        if found is None or text.find("=", found.start()) != place:
            continue
        at = found.end()
        if _stands_alone(text, found.start()):
            if _holds(text[found.start() : found.start("right")], found["right"]):
                true += 1
            else:
                false += 1
            if true + false == _EQUATIONS:
                break
    return Equations(true, false)


def _stands_alone(text: str, start: int) -> bool:
    """Tell whether nothing before an equation is a part of it, as in "9 eggs * 2 + 3" or "20 % of 50 + 3"."""
    before = text[max(0, start - _BEFORE) : start]
    end = before.rstrip()
    if end.endswith("of"):
        return False
    return not end.endswith(_LED_ON) or (end != before and _BULLET.search(before) is not None)


def _holds(left: str, right: str) -> bool:
    """Tell whether a result is right to the decimals that it is given with; only a quotient may be a whole."""
    total, product, is_divided = 0.0, 1.0, False
    for sign, numeral in _TERM.findall(left):
        number = float(numeral.lstrip("$€£¥").replace(",", ""))
        if sign in ("*", "x", "×", "·"):
            product *= number
        elif sign in ("/", "÷"):
            if not number:
                return False
            product, is_divided = product / number, True
        elif sign:
            total, product = total + product, number if sign == "+" else -number
        else:
            product = number
    value = total + product
    said = float(right.lstrip("-−$€£¥").replace(",", "")) * (-1 if right[0] in "-−" else 1)
    decimals = len(right.partition(".")[2])
    allowed = 10.0**-decimals if decimals else 0.5 * is_divided
    return abs(value - said) <= allowed * (1 + 1e-9) + 1e-9 * max(abs(value), abs(said))
