"""Nodes of YAML -> rows of a price book, and what is wrong with them.

Nodes, not values: a price that passed through a float would no longer be the one that was written. Knows one row at a
time; how rows stand to each other is `price_order`'s.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from typing import Final, TypeVar

import yaml

from backends.base import INPUT_BUCKETS, OUTPUT_BUCKETS
from router.base import USUAL_TIERS, Price
from router.ledger.hosting import Hosting
from router.ledger.money import HIGHEST_PRICE, PICO_PER_PRICE_UNIT, nano_of, pico_per_token, plain_decimal

BOOK_VERSION: Final = "1"
USD: Final = "USD"

_BUCKETS: Final = (*INPUT_BUCKETS, *OUTPUT_BUCKETS)
_HOSTING: Final = Hosting.__slots__
_REQUIRED: Final = ("valid_from", "captured_at", "source")
_FIELDS: Final = (
    "model", "model_regex", "provider", "valid_from", "valid_to", "service_tier", "above_input_tokens", *_BUCKETS,
    "per_request", "self_hosted", "currency", "usd_per_unit", "source", "captured_at",
)  # fmt: skip
_FOLLOWS: Final = {"fresh_input", "cached_input", "output", "currency", "usd_per_unit"}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_COUNT: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_DIGEST: Final = 12  # hexadecimal digits
_FREE: Final = "comes to less than 0.000001 USD per million tokens, which would be free"

Fault = Callable[[yaml.Node | None, str], None]
"""Takes where something is wrong, and what."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """One price of one model, in one service tier, beyond one length of a prompt.

    Attributes:
        name: the model's, or the expression that its name matches.
        pattern: the expression; None where the name is one.
        valid_to: the first day on which it holds no more; None until a later row of the same kind begins.
        price: its variants are other rows.
        hosting: what it was computed from; None where it is a list price.
        line, column: where it stands, from 1.
    """

    name: str
    pattern: re.Pattern[str] | None
    valid_from: date
    valid_to: date | None
    price: Price
    hosting: Hosting | None = None
    line: int = 1
    column: int = 1

    @property
    def kind(self) -> tuple[str, bool, str, int]:
        """Return what only one row may have on a day: name, whether it is an expression, service tier, length."""
        return self.name, self.pattern is not None, self.price.service_tier, self.price.above_input

    def covers(self, name: str) -> bool:
        """Tell whether it is a price of this model."""
        return self.name == name if self.pattern is None else self.pattern.fullmatch(name) is not None

    def describe(self) -> str:
        """Return whose price it is, in words."""
        tier = f" in tier {self.price.service_tier!r}" if self.price.service_tier else ""
        length = f" above {self.price.above_input} tokens" if self.price.above_input else ""
        return f"{self.name}{tier}{length}"


def read_row(node: yaml.Node, fault: Fault) -> Row | None:
    """Return what a node says; None where something is wrong with it, which has been told to `fault`."""
    told: list[str] = []

    def note(where: yaml.Node | None, message: str) -> None:
        told.append(message)
        fault(where, message)

    fields = mapping_of(node, known=_FIELDS, fault=note)
    if isinstance(node, yaml.MappingNode):
        _check_complete(node, fields, note)
    reader = _Reader(fields, note)
    hosting = reader.hosting()
    rates = reader.rates() if hosting is None else {**reader.rates(), **hosting.rates()}
    if max(rates.values(), default=0) > HIGHEST_PRICE * PICO_PER_PRICE_UNIT:  # a rate of exchange, or an idle machine
        note(node, f"a price comes to over {HIGHEST_PRICE} USD per million tokens; check the decimal points")
    if hosting is not None and not (rates["fresh_input"] and rates["output"]):
        note(fields["self_hosted"], f"self_hosted {_FREE}; check the decimal points")
    valid_from, valid_to = reader.read("valid_from", _day), reader.read("valid_to", _day)
    reader.read("captured_at", _day)
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        note(fields["valid_to"], f"valid_to is no later than valid_from, {valid_from}; it is the first day after")
    pattern = reader.read("model_regex", re.compile)
    tier = reader.texts.get("service_tier", "").lower()
    above, per_request = reader.read("above_input_tokens", _count), reader.read("per_request", nano_of)
    if told or valid_from is None:
        return None
    price = Price(
        model=reader.texts.get("model") or reader.texts["model_regex"],
        version=reader.digest(),
        **{"cached_input": rates["fresh_input"], **rates},  # type: ignore[arg-type]  # buckets alone, and all are numbers
        per_request=per_request or 0,
        service_tier="" if tier in USUAL_TIERS else tier,
        above_input=above or 0,
    )
    return Row(price.model, pattern, valid_from, valid_to, price, hosting, *place_of(node))


def mapping_of(node: yaml.Node | None, *, known: tuple[str, ...], fault: Fault) -> dict[str, yaml.Node]:
    """Return a mapping's fields; tells of what is none, is unknown or stands twice."""
    if not isinstance(node, yaml.MappingNode):
        fault(node, f"not a mapping; give it {', '.join(known)}")
        return {}
    fields: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.value not in known:
            fault(key, _unknown(key.value, known))
        elif key.value in fields:
            fault(key, f"{key.value} is given twice; remove one")
        else:
            fields[key.value] = value
    return fields


def _unknown(name: object, known: tuple[str, ...]) -> str:
    """Return what says that a field is none, and which one may have been meant."""
    if not isinstance(name, str):
        return "a field without a name"
    near = get_close_matches(name, known, n=1, cutoff=0.75)
    return f"unknown field {name!r}; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")


def place_of(node: yaml.Node | None) -> tuple[int, int]:
    """Return the line and the column of a node, from 1."""
    return (1, 1) if node is None else (int(node.start_mark.line) + 1, int(node.start_mark.column) + 1)


def _check_complete(node: yaml.Node, fields: Mapping[str, yaml.Node], fault: Fault) -> None:
    if "model" in fields and "model_regex" in fields:
        fault(fields["model_regex"], "model and model_regex are both given; remove one")
    needed = (*(() if "model_regex" in fields else ("model",)), *_REQUIRED)
    if "self_hosted" in fields:
        for name in _FOLLOWS & fields.keys():
            fault(fields[name], f"{name} follows from self_hosted; remove one of them")
    else:
        needed = (*needed, "fresh_input", "output")
    for name in needed:
        if name not in fields:
            fault(node, f"{name} is missing")


class _Reader:
    """The values of one row."""

    def __init__(self, fields: Mapping[str, yaml.Node], fault: Fault) -> None:
        self._fields, self._fault = fields, fault
        self.texts = {name: _text(name, field, fault) for name, field in fields.items() if name != "self_hosted"}
        self._hosted: dict[str, str] = {}

    def digest(self) -> str:
        """Return the version of what is said."""
        texts = {**self.texts, **self._hosted}
        said = "\n".join(f"{name}={texts[name]}" for name in sorted(texts))
        return hashlib.sha256(said.encode()).hexdigest()[:_DIGEST]

    def read(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        """Return a field's value; None where it is absent or wrong."""
        text = self.texts.get(name)
        return None if not text else self._parsed(name, self._fields[name], text, parse)

    def rates(self) -> dict[str, int]:
        """Return pico-USD a token of each bucket that is given; only another currency's are rounded, half to even."""
        exchange = self._exchange()
        found = {name: self.read(name, pico_per_token) for name in _BUCKETS if name in self.texts}
        rates = {name: round(pico * exchange) for name, pico in found.items() if pico is not None}
        for name, rate in rates.items():
            if found[name] and not rate:
                self._fault(self._fields[name], f"{name} {_FREE}; check usd_per_unit")
        return rates

    def hosting(self) -> Hosting | None:
        """Return what the price is computed from; None where it is given."""
        node = self._fields.get("self_hosted")
        if node is None:
            return None
        fields = mapping_of(node, known=_HOSTING, fault=self._fault)
        missing = [name for name in _HOSTING if name not in fields]
        if missing and isinstance(node, yaml.MappingNode):
            self._fault(node, f"self_hosted lacks {', '.join(missing)}")
        texts = {name: _text(f"self_hosted.{name}", field, self._fault) for name, field in fields.items()}
        self._hosted = {f"self_hosted.{name}": text for name, text in texts.items()}
        values = {
            name: self._parsed(f"self_hosted.{name}", fields[name], text, _LIMITS[name])
            for name, text in texts.items()
            if text
        }
        if missing or None in values.values() or len(values) < len(_HOSTING):
            return None
        return Hosting(**values)  # type: ignore[arg-type]  # each was read by the function of its own type

    def _exchange(self) -> Fraction:
        """Return USD of one unit of the row's currency."""
        currency, rate = self.texts.get("currency", USD), self.read("usd_per_unit", plain_decimal)
        node = self._fields.get("usd_per_unit", self._fields.get("currency"))
        if not _CURRENCY.fullmatch(currency):
            self._fault(self._fields["currency"], "currency is no code of three capitals; write it like EUR")
        elif currency == USD and rate is not None:
            self._fault(node, "usd_per_unit is given for USD; remove it")
        elif currency != USD and "usd_per_unit" not in self._fields:
            self._fault(node, f"currency {currency} has no rate that anybody knows; give usd_per_unit, or USD")
        elif rate == 0:
            self._fault(node, "usd_per_unit is 0; give USD of one unit of the currency")
        return rate or Fraction(1)

    def _parsed(self, name: str, node: yaml.Node, text: str, parse: Callable[[str], _T]) -> _T | None:
        try:
            return parse(text)
        except (re.error, OverflowError, RecursionError) as error:  # it counts too far, or nests too deep
            self._fault(node, f"{name} is no regular expression: {error}")
        except ValueError as error:
            self._fault(node, f"{name} {error}")
        return None


def _text(name: str, node: yaml.Node, fault: Fault) -> str:
    if isinstance(node, yaml.ScalarNode) and node.value.strip():
        if any("\ud800" <= each <= "\udfff" for each in node.value):
            fault(node, f"{name} holds half a surrogate pair")
            return ""
        return str(node.value)
    fault(node, f"{name} is empty or not a single value")
    return ""


def _day(text: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:  # such as the 30th of February
        pass
    raise ValueError("is no day; write it as 2026-01-31")


def _count(text: str) -> int:
    if _COUNT.fullmatch(text) is None:
        raise ValueError("is no whole number above 0")
    return int(text)


def _above_zero(text: str) -> Fraction:
    value = plain_decimal(text)
    if not value:
        raise ValueError("is 0; give what was measured")
    return value


def _share(text: str) -> Fraction:
    value = plain_decimal(text)
    if value > 1:
        raise ValueError("is over 1; give a share")
    return value


def _share_above_zero(text: str) -> Fraction:
    return min(_share(text), _above_zero(text))


_LIMITS: Final[Mapping[str, Callable[[str], int | Fraction]]] = {
    "usd_per_gpu_hour": _above_zero,
    "gpus": _count,
    "prefill_tokens_per_second": _above_zero,
    "decode_tokens_per_second": _above_zero,
    "utilisation": _share_above_zero,
    "cached_share": _share,
}
