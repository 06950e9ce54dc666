"""Text -> the numbers, dates and times in it, each in one form.

Reads Arabic and Chinese numerals, full-width digits, thousands separators, fractions, LaTeX's spellings and words of
magnitude. A unit, a currency and a percent sign are left out: "57 %", "$57.00" and "57 dollars" are all 57. Each
pattern looks at a bounded piece of text, so that the cost is linear whatever is written.
"""

import math
import re
from dataclasses import dataclass

_WIDE = tuple(
    zip(
        "０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪ，．：；（）％－＋＝／＄￥！？＃　−",
        "0123456789ABCDEFGHIJ,.:;()%-+=/$¥!?# -",
        strict=True,
    )
)
_LATEX = (
    ("\\dfrac", "\\frac"),
    ("\\tfrac", "\\frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("\\times", "×"),
    ("\\cdot", "·"),
    ("\\div", "÷"),
    ("{,}", ","),
    ("\\$", "$"),
    ("\\%", "%"),
    ("\\,", ""),
    ("\\!", ""),
    ("\\;", " "),
    ("\\ ", " "),
    ("^\\circ", ""),
    ("^{\\circ}", ""),
)
_FRACTION = re.compile(r"\\frac(?<!\d.....)\{(-?\d{1,15})\}\{(\d{1,15})\}")  # begins with what is seldom
_MIXED = re.compile(r"\\frac(?<=\d.....)\{(\d{1,15})\}\{(\d{1,15})\}")
_WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\{([^{}]{0,200})\}")

NUMBER = re.compile(
    r"(?:(?<![\w)\]}.])-)?(?:[$€£¥]-?)?(?P<whole>\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d{1,400}|(?<!\d)(?=\.\d))(?P<part>\.\d{1,400})?"
    r"(?P<power>[eE][+-]?\d{1,3}(?!\w))?(?:(?P<top>\s\d{1,9})?\s?/\s?(?P<under>\d{1,15})(?![\d/]))?"
    r"(?:\s?(?P<times>万亿|[万亿]|千(?![克米瓦卡])|百(?!分)|(?:thousand|million|billion|trillion)\b))?"
)
_TIMES = {
    "百": 1e2,
    "千": 1e3,
    "thousand": 1e3,
    "万": 1e4,
    "million": 1e6,
    "亿": 1e8,
    "billion": 1e9,
    "万亿": 1e12,
    "trillion": 1e12,
}

_DIGITS = {digit: value for value, digits in enumerate(("零〇", *"一二三四五六七八九")) for digit in digits} | {"两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
CHINESE = re.compile(r"(?<!第)负?[零〇一二两三四五六七八九十百千万亿]{1,24}(?:点[零〇一二三四五六七八九]{1,12})?")
_MEASURED = "个只元块天年月日人次本条张米斤小时分秒岁支件位名棵辆杯箱页倍克千吨公平厘%"
_ENDED, _LED_TO = ",.;!?。、", "是为得有共:=( "  # a single sign between these is a numeral: 答案是三。

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_NAMES = "|".join(_MONTHS)
_DATE = re.compile(
    r"(?<!\d)(?P<y>\d{4})(?:[-/.]|年)(?P<m>\d{1,2})(?:[-/.]|月)(?P<d>\d{1,2})(?!\d)"
    r"|(?<!\d)(?P<m2>\d{1,2})月(?P<d2>\d{1,2})[日号]"
    rf"|\b(?P<n3>{_NAMES})[a-z]{{0,6}}\.? (?P<d3>\d{{1,2}})(?!\d)(?:st|nd|rd|th)?(?:,? (?P<y3>\d{{4}})(?!\d))?"
    rf"|(?<!\d)(?P<d4>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<n4>{_NAMES})[a-z]{{0,6}}\b(?:,? (?P<y4>\d{{4}})(?!\d))?"
)
_TIME = re.compile(
    r"(?<![\d:.])(?P<h>\d{1,2}):(?P<m>\d{2})(?::\d{2})?(?![\d:])(?:\s?(?P<half>[aApP])\.?[mM]\b)?"
    r"|(?<![\d:.])(?P<h2>\d{1,2})\s?(?P<half2>[aApP])\.?[mM]\b"
    r"|(?P<part>上午|早上|凌晨|中午|下午|晚上)?(?P<h3>\d{1,2})点(?:(?P<m3>\d{1,2})分?|(?P<half3>半)|整)?"
)
_AFTERNOON = ("下午", "晚上")
_HALF_DAY, _HALF_HOUR = 12, 30
_LARGE = 1e12


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where in the text it stands."""

    start: int
    end: int
    value: float


def plain(text: str) -> str:
    """Return the text with full-width signs, LaTeX's spacing and its fractions written in ASCII."""
    if not text.isascii():
        for written, meant in _WIDE:  # twenty times as fast as `translate` on Chinese
            text = text.replace(written, meant)
        text = text.replace("百分之", "")
    if "\\" in text:
        for written, meant in _LATEX:
            text = text.replace(written, meant)
        text = _WRAPPED.sub(r"\1", text)
        text = _FRACTION.sub(r"\1/\2", _MIXED.sub(r" \1/\2", text))
    return text


def numbers(text: str) -> list[Found]:
    """Return the Arabic numbers of a short text in the order in which they stand."""
    return [Found(found.start(), found.end(), _value(found)) for found in NUMBER.finditer(text)]


def chinese_number(text: str) -> Found | None:
    """Return the first Chinese numeral of a short text that can be nothing else, such as 五十七 or 三个."""
    for found in CHINESE.finditer(text):
        before, after = text[: found.start()][-1:], text[found.end() : found.end() + 1]
        is_whole = (not after or after in _ENDED) and (not before or before in _LED_TO)
        if len(found[0]) > 1 or is_whole or (after and after in _MEASURED):
            value = _from_chinese(found[0])
            if value is not None:
                return Found(found.start(), found.end(), value)
    return None


def moment(text: str) -> str | None:
    """Return the first date of a short text, the first time of day, or both: "2026-03-05 15:45", "--03-05", "09:00"."""
    day, clock = _DATE.search(text), _TIME.search(text)
    said = [part for part in (_day(day) if day else None, _clock(clock) if clock else None) if part]
    return " ".join(said) or None


def _value(found: re.Match[str]) -> float:
    value = float((found["whole"].replace(",", "") or "0") + (found["part"] or "") + (found["power"] or ""))
    under = float(found["under"] or 0)
    if under:
        value = value + float(found["top"]) / under if found["top"] else value / under
    value *= _TIMES.get(found["times"] or "", 1.0)
    return -value if "-" in found[0][: found.start("whole") - found.start()] else value


def _from_chinese(text: str) -> float | None:
    """Return the value of a numeral; None where its signs do not make one."""
    body, _, decimals = text.lstrip("负").partition("点")
    if all(sign in _DIGITS for sign in body):
        total = int("".join(str(_DIGITS[sign]) for sign in body))
    else:
        total = section = digit = 0
        for sign in body:
            if sign in _DIGITS:
                digit = _DIGITS[sign]
            elif sign in _UNITS:
                section += (digit or 1) * _UNITS[sign]
                digit = 0
            else:
                if not total + section + digit:
                    return None  # 万一, 亿: no number stands before it
                own = section + digit + (total if sign == "亿" else 0)
                total = own * _MYRIADS[sign] + (0 if sign == "亿" else total)
                section = digit = 0
        total += section + digit
    value = total + sum(_DIGITS[sign] / 10**place for place, sign in enumerate(decimals, 1))
    return -value if text.startswith("负") else float(value)


def _day(found: re.Match[str]) -> str | None:
    year = found["y"] or found["y3"] or found["y4"] or "-"
    name = found["n3"] or found["n4"]
    month = _MONTHS.index(name) + 1 if name else int(found["m"] or found["m2"])
    day = int(found["d"] or found["d2"] or found["d3"] or found["d4"])
    if not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004 - the calendar
        return None
    return f"{year}-{month:02}-{day:02}"


def _clock(found: re.Match[str]) -> str | None:
    hour = int(found["h"] or found["h2"] or found["h3"])
    minute = _HALF_HOUR if found["half3"] else int(found["m"] or found["m3"] or 0)
    half = (found["half"] or found["half2"] or "").lower()
    if half:
        hour = hour % _HALF_DAY + (_HALF_DAY if half == "p" else 0)
    elif found["part"] in _AFTERNOON and hour < _HALF_DAY:
        hour += _HALF_DAY
    if hour > 24 or minute > 59:  # noqa: PLR2004 - the clock
        return None
    return f"{hour:02}:{minute:02}"


def is_round(value: float) -> bool:
    """Tell whether a number looks as results of everyday problems do: not negative, at most two decimals."""
    return 0 <= value < _LARGE and math.isclose(value * 100, round(value * 100), abs_tol=1e-6)
