"""Numbers -> the few characters that a page shows.

A true minus sign, never more digits than the eye compares, and a dash for what is unknown.
"""

import math
import time

DASH = "–"
NANO = 1_000_000_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = 86_400
_KILO = 1_000
_PLENTY = 10  # from here on, decimals tell nothing


def money(nano_usd: int | None) -> str:
    """Return dollars: whole above a thousand, cents above one, three significant digits below."""
    if nano_usd is None:
        return DASH
    amount = abs(nano_usd) / NANO
    if amount >= _KILO:
        text = f"{amount:,.0f}"
    elif amount >= 1 or amount == 0:
        text = f"{amount:.2f}" if amount else "0"
    else:
        whole, _, fraction = f"{amount:.{2 - math.floor(math.log10(amount))}f}".partition(".")
        text = f"{whole}.{fraction.rstrip('0'):0<2}"
    return f"{_sign(nano_usd)}${text}"


def share(part: float | None) -> str:
    """Return per cent, with decimals only where they tell something: below ten and not a whole."""
    if part is None:
        return DASH
    percent = abs(part) * 100
    decimals = 0 if percent >= _PLENTY or percent == 0 else 1 if percent >= 1 else 2
    return f"{_sign(part)}{percent:.{decimals}f}%"


def points(value: float) -> str:
    """Return percentage points: two decimals below one, one below ten."""
    return f"{value:.{2 if value < 1 else 1 if value < _PLENTY else 0}f}"


def seconds(value: float | None) -> str:
    """Return a time as people say it: "9 ms", "1.12 s", "12 s"."""
    if value is None:
        return DASH
    if value < 1:
        return f"{value * _KILO:.0f} ms" if value * _KILO >= 1 else f"{value * _KILO:.2g} ms"
    return f"{value:.2f} s" if value < _PLENTY else f"{value:.0f} s"


def brief_seconds(value: float) -> str:
    """Return a round time for an axis: "0.3 s", "30 ms"."""
    return f"{value:g} s" if value * _PLENTY >= 1 else f"{value * _KILO:g} ms"


def brief(value: float) -> str:
    """Return a round number for an axis: "500", "2.5k"."""
    return f"{value / _KILO:g}k" if value >= _KILO else f"{value:g}"


def count(value: int) -> str:
    """Return a number with its thousands set apart."""
    return f"{value:,}"


def signed(text: str, difference: float) -> str:
    """Put the sign of a difference before its size."""
    return f"{'+' if difference > 0 else _sign(difference)}{text}"


def clock(when: float) -> str:
    """Return the time of day, UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(when))


def stamp(when: float) -> str:
    """Return a time that a machine reads, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def day(when: float) -> str:
    """Return weekday and day, such as "Sat 14", UTC. In English, whatever the machine's locale is."""
    moment = time.gmtime(when)
    return f"{_DAYS[moment.tm_wday]} {moment.tm_mday}"


def date(when: float) -> str:
    """Return day and month, such as "14 Nov", UTC."""
    moment = time.gmtime(when)
    return f"{moment.tm_mday} {_MONTHS[moment.tm_mon - 1]}"


def moment(when: float) -> str:
    """Return day and time of day, such as "Sat 14 Nov, 06:00", UTC."""
    return f"{day(when)[:3]} {date(when)}, {clock(when)[:5]}"


def tick(when: float, *, every: float) -> str:
    """Return the label of a time axis whose labels stand `every` seconds apart."""
    if every < _DAY:
        return clock(when)[:5]
    return day(when) if every == _DAY else date(when)


def _sign(value: float) -> str:
    return "−" if value < 0 else ""
