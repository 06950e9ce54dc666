"""The price list of genai-prices, as installed -> rows of a price book, and what could not be taken over.

No network: the list comes with the package. Its decimals are written as they stand there; none becomes a float. A
model is taken whole or not at all, since half a price list would make what is missing cheap.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final

from router.base import USUAL_TIERS
from router.ledger.money import pico_per_token

BEGINNING: Final = date(2020, 1, 1)
"""From which a price holds whose beginning nobody wrote down."""

_BUCKETS: Final = {
    "input_mtok": "fresh_input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
}
_PER_REQUEST: Final = "requests_kcount"
_CONVERTED: Final = re.compile(r"\b(?:CNY|RMB|EUR|GBP|JPY|KRW|INR)\b")
_TIER: Final = "service_tier"


@dataclass(frozen=True, slots=True)
class Published:
    """One row, as it will be written: fields in their order, and what is said beside them."""

    fields: Mapping[str, str]

    @property
    def kind(self) -> tuple[str, ...]:
        """Return what only one row may have on a day."""
        return tuple(self.fields.get(name, "") for name in ("model", _TIER, "above_input_tokens", "valid_from"))


@dataclass(frozen=True, slots=True)
class Left:
    """What was not taken over, and why.

    Attributes:
        whole: the model has no row at all; else only this much of its price is missing.
    """

    model: str
    provider: str
    why: str
    whole: bool


class _NotTaken(Exception):
    """Why a model cannot be taken over."""


def published(
    models: re.Pattern[str], *, provider: str | None, today: date
) -> tuple[tuple[Published, ...], tuple[Left, ...]]:
    """Return the rows of all models that an expression matches whole, and what was left out.

    Args:
        provider: whose prices; None takes those that all who offer a model agree about.
        today: the day on which it is taken over.

    Raises:
        ImportError: genai-prices is not installed.
    """
    from genai_prices.data import providers  # noqa: PLC0415  (an extra, of many megabytes)

    source = f"genai-prices {version('genai-prices')}"
    found: dict[str, dict[str, list[Published]]] = {}
    left: list[Left] = []
    for each in providers:
        if provider not in (None, each.id):
            continue
        for model in each.models:
            if models.fullmatch(model.id) is None:
                continue
            try:
                rows = list(_rows(model, each, source=source, today=today))
            except _NotTaken as error:
                left.append(Left(model.id, each.id, str(error), whole=True))
                continue
            left += [Left(model.id, each.id, why, whole=False) for why in _missing(model)]
            found.setdefault(model.id, {})[each.id] = rows
    taken: list[Published] = []
    for name, offers in sorted(found.items()):
        if len({_prices_of(rows) for rows in offers.values()}) > 1:
            why = f"{', '.join(offers)} price it differently; name one of them with --provider"
            left.append(Left(name, "", why, whole=True))
        else:
            taken += next(iter(offers.values()))
    return tuple(taken), tuple(left)


def as_book(rows: Iterable[Published]) -> str:
    """Return the rows as a price book."""
    lines = ["version: 1", "prices:"]
    for row in rows:
        first, *others = [f"{name}: {text}" for name, text in row.fields.items()]
        lines += [f"  - {first}", *[f"    {each}" for each in others]]
    return "\n".join(lines) + "\n"


def _rows(model: Any, provider: Any, *, source: str, today: date) -> Iterator[Published]:  # noqa: ANN401  (their types)
    """Yield a model's rows: for each service tier and each length of a prompt, by the day on which they began."""
    _check(model, provider)
    page = (provider.pricing_urls or [""])[0]
    days = _days(model)
    each_day = [_kinds_on(model, day) for day in days]
    for kind in dict.fromkeys(kind for kinds in each_day for kind in kinds):
        tier, above = kind
        told = [kinds.get(kind) for kinds in each_day]
        for at, (day, said) in enumerate(zip(days, told, strict=True)):
            if said is None or (at and told[at - 1] == said):
                continue
            changes = [later for later, fields in zip(days[at:], told[at:], strict=True) if fields != said]
            ends = bool(changes) and told[days.index(changes[0])] is None
            yield Published(
                {
                    "model": _quoted(model.id),
                    "provider": _quoted(provider.id),
                    "valid_from": day.isoformat(),
                    **({"valid_to": changes[0].isoformat()} if ends else {}),
                    **({_TIER: _quoted(tier)} if tier else {}),
                    **({"above_input_tokens": str(above)} if above else {}),
                    **said,
                    "source": _quoted(f"{source}, {page}" if page else source),
                    "captured_at": today.isoformat(),
                }
            )


def _kinds_on(model: Any, day: date) -> dict[tuple[str, int], dict[str, str]]:  # noqa: ANN401  (their types)
    """Return the prices of one day by service tier and length."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for tier in ("", *_tiers(model, day)):
        prices = _on(model, day, tier)
        found |= {(tier, above): _fields(prices, above) for above in _lengths(prices)}
    return found


def _check(model: Any, provider: Any) -> None:  # noqa: ANN401  (their types)
    """Tell why a model cannot be taken over as it stands there.

    Raises:
        _NotTaken: it cannot.
    """
    constraints = [each.constraint for each in _conditions(model) if each.constraint is not None]
    if not model.prices:
        raise _NotTaken("it has no price")
    if any(not hasattr(each, "start_date") for each in constraints):
        raise _NotTaken("its price depends on the hour of the day")
    comments = f"{provider.price_comments or ''} {model.price_comments or ''}"
    if _CONVERTED.search(comments):
        raise _NotTaken("its price was converted from another currency at a rate of that day")
    for day in _days(model):
        usual = _on(model, day, "")
        if any(vars(_on(model, day, tier)) != vars(usual) for tier in USUAL_TIERS):
            raise _NotTaken("the tier that answers call default is not its usual one")


def _missing(model: Any) -> Iterator[str]:  # noqa: ANN401  (their types)
    """Yield which parts of a model's price stand for nothing that is counted here."""
    prices = [each.prices for each in _conditions(model)]
    names = {name for each in prices for name, value in vars(each).items() if value is not None}
    uncounted = sorted(names - _BUCKETS.keys() - {_PER_REQUEST})
    if uncounted:
        yield f"{', '.join(uncounted)}: not counted here"
    for variant in model.price_variants or ():
        if set(variant.when) != {_TIER}:
            yield f"the variant for {', '.join(f'{name} {value}' for name, value in variant.when.items())}"


def _conditions(model: Any) -> Sequence[Any]:  # noqa: ANN401  (their types)
    """Return all prices that stand under a condition, and the one that stands under none as one of them."""
    own = model.prices if isinstance(model.prices, list) else [_Plain(model.prices)]
    return [*own, *(each for each in model.price_variants or () if set(each.when) == {_TIER})]


@dataclass(frozen=True, slots=True)
class _Plain:
    prices: Any
    constraint: None = None


def _tiers(model: Any, day: date) -> list[str]:  # noqa: ANN401  (their types)
    """Return the service tiers that have a price of their own on a day."""
    begun = [
        each.when[_TIER]
        for each in model.price_variants or ()
        if set(each.when) == {_TIER} and (each.constraint is None or each.constraint.start_date <= day)
    ]
    return sorted(set(begun) - USUAL_TIERS)


def _days(model: Any) -> list[date]:  # noqa: ANN401  (their types)
    begun = {each.constraint.start_date for each in _conditions(model) if each.constraint is not None}
    return sorted({BEGINNING, *begun})


def _on(model: Any, day: date, tier: str) -> Any:  # noqa: ANN401  (their types)
    return model.get_prices(datetime.combine(day, time(12), UTC), {_TIER: tier} if tier else None)


def _lengths(prices: Any) -> tuple[int, ...]:  # noqa: ANN401  (their types)
    """Return from which lengths of a prompt some part of the price is another one, and 0."""
    longer = {step.start for value in vars(prices).values() for step in getattr(value, "tiers", ())}
    return (0, *sorted(longer - {0}))


def _fields(prices: Any, above: int) -> dict[str, str]:  # noqa: ANN401  (their types)
    found: dict[str, str] = {}
    for name, bucket in _BUCKETS.items():
        value = _at(getattr(prices, name, None), above)
        if value is not None:
            found[bucket] = _exact(value, name)
    if "fresh_input" not in found:
        raise _NotTaken("it has no price for tokens of input")
    found.setdefault("output", '"0"')
    request = _at(getattr(prices, _PER_REQUEST, None), above)
    return found if request is None else {**found, "per_request": _quoted(f"{request / 1000:f}")}


def _at(value: Any, above: int) -> Decimal | None:  # noqa: ANN401  (their types)
    """Return a price for prompts beyond a length; above a step, it holds for all tokens."""
    if not hasattr(value, "tiers"):
        found: Decimal | None = value
        return found
    held: Decimal = value.base
    for step in value.tiers:
        if step.start <= above and above:
            held = step.price
    return held


def _exact(value: Decimal, name: str) -> str:
    text = f"{value:f}"
    try:
        pico_per_token(text)
    except ValueError as error:
        raise _NotTaken(f"{name} {text} {error}") from error
    return _quoted(text)


def _prices_of(rows: Sequence[Published]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return what rows say of money alone."""
    aside = ("provider", "source")
    return tuple(tuple((name, text) for name, text in row.fields.items() if name not in aside) for row in rows)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
