"""Reply -> the JSON or the code that it is, in a form in which equal ones are equal.

JSON without regard to order, white space and 57.0 for 57; code without line comments and white space; SQL without
case. Nothing is run and nothing is believed.
"""

import json
import re
from dataclasses import dataclass

_SQL = re.compile(r"\s{0,40}(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|WITH \w{1,60} AS)\s", re.IGNORECASE)
_ANSWER_NAMES = ("answer", "final_answer", "Answer", "答案")
_FENCE = "```"
_LANGUAGE = " \tabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+#-"


@dataclass(frozen=True, slots=True)
class Document:
    """A reply that is JSON.

    Attributes:
        text: canonical.
        answer: what stands under "answer" in it; None where nothing does.
    """

    text: str
    answer: str | None


def json_of(text: str) -> Document | None:
    """Return the reply as JSON; None where it is none, or is more than that."""
    body = text.strip()
    if body.startswith(_FENCE):
        body = body.partition("\n")[2].removesuffix(_FENCE).strip()
    if body[:1] not in ("{", "["):
        return None
    try:
        document = json.loads(body, parse_float=_number)
        canonical = json.dumps(document, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    named = [document.get(name) for name in _ANSWER_NAMES] if isinstance(document, dict) else []
    return Document(canonical, next((str(said) for said in named if isinstance(said, str | int | float)), None))


def code_of(text: str) -> tuple[str, str]:
    """Return what stands outside of code blocks, and the longest block, "" for none; SQL needs no fence."""
    before, *rest = text.split(_FENCE)
    if not rest:
        return ("", _normal(text)) if _SQL.match(text) else (text, "")
    longest = max(rest[::2], key=len)
    language, line_end, body = longest.partition("\n")
    return "\n".join((before, *rest[1::2])), _normal(body if line_end and not language.strip(_LANGUAGE) else longest)


def _number(numeral: str) -> float | int:
    """Return the value, 57.0 as 57: JSON tells them apart and people do not."""
    value = float(numeral)
    return int(value) if value.is_integer() else value


def _normal(text: str) -> str:
    lines = (line.split("# ")[0].split("-- ")[0].split("// ")[0] for line in text.splitlines())
    folded = " ".join(" ".join(lines).split()).rstrip("; ")
    return folded.casefold() if _SQL.match(f"{folded} ") else folded
