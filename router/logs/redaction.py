"""Text of a log line -> the same without what is somebody's secret or somebody's own.

Knows the secrets of the configuration by heart, and others by their look: keys, passwords in addresses, mail, numbers
of cards and accounts with right check digits, phones. What is left out leaves a word in its place. Each expression
reads a text once, so that no text takes long.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pydantic import BaseModel, SecretStr

SHORTEST: Final = 6  # characters of a secret; what is shorter also stands in ordinary words

_TOKEN: Final = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_KEY: Final = re.compile(r"\b(?:sk|pk|rk|ak|key|ghp|gho|xox[abps]|hf|glpat|AKIA)[-_]?[A-Za-z0-9_-]{16,200}")
_USER: Final = re.compile(r"://[^/@\s\"']{1,200}@")
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,7}\.[^\W\d][\w-]{1,62}")
_CARD: Final = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])")
_ACCOUNT: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_PHONE: Final = re.compile(r"(?<![\w+])\+\d(?:[ ()./-]{0,2}\d){6,14}(?!\d)")

# Line ends, other controls, what turns the direction of text, halves of characters.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Redaction:
    """Knows what must not be told."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def of(self, text: str) -> str:
        """Return the text without it."""
        if self._known is not None:
            text = self._known.sub("[secret]", text)
        if ":" in text:
            text = _USER.sub("://[secret]@", text)
        if "@" in text:
            text = _MAIL.sub("[mail]", text)
        text = _KEY.sub("[secret]", _TOKEN.sub(r"\1 [secret]", text))
        text = _ACCOUNT.sub(lambda found: "[account]" if _is_account(found[0]) else found[0], text)
        text = _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
        return _PHONE.sub("[phone]", text) if "+" in text else text


def secrets_in(value: object) -> Iterator[str]:
    """Yield the secrets of a configuration, or of a part of it."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from secrets_in(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from secrets_in(inner)


def escaped(text: str) -> str:
    """Return the text on one line, with nothing in it that a terminal would obey."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def _is_card(text: str) -> bool:
    """Tell whether the last digit fits the others.

    Source: ISO/IEC 7812-1, annex B (Luhn's formula).
    """
    digits = [int(digit) for digit in text if digit.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_account(text: str) -> bool:
    """Tell whether the check digits of an IBAN fit.

    Source: ISO 13616-1; the remainder by 97 is that of ISO/IEC 7064.
    """
    plain = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1
