"""Seed -> requests with tools, and requests that want JSON.

Of tools, half of the requests need a call and half need none: right is the right tool with the right arguments, or an
answer without a call. Whoever always calls, or never does, is right half of the time. Of JSON, right is what parses,
fits the schema and says what the text said.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from router.certificate import Guards
from router.certifying.base import Case, Mark, Plan, Said, is_right, spoken
from router.certifying.suites.schemas import misfit

ANSWER_TOKENS: Final = 96
HALF: Final = 0.5

_TOWNS: Final = "Arlen Bremdal Corvia Dunmoor Elsby Farholt Grenna Hadlow Istria Jarnov".split()
_PEOPLE: Final = "Anna Boris Clara David Erika Felix Greta Henry Irene Jonas Karin Louis".split()
_THINGS: Final = "lamps chairs kettles pillows ladders mirrors blankets drills".split()
_UNITS: Final = ("celsius", "fahrenheit")
_STATES: Final = ("open", "paid", "sent")


def _object(**properties: Mapping[str, object]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_PARAMETERS: Final = {
    "get_weather": _object(town={"type": "string"}, unit={"type": "string", "enum": list(_UNITS)}),
    "order_goods": _object(what={"type": "string"}, number={"type": "integer", "minimum": 1}),
    "send_message": _object(to={"type": "string"}, text={"type": "string"}),
}
_ABOUT: Final = {
    "get_weather": "Get today's weather of a town.",
    "order_goods": "Order goods for the shop.",
    "send_message": "Send a text message to a person.",
}
_TOOLS: Final = [
    {"type": "function", "function": {"name": name, "description": _ABOUT[name], "parameters": parameters}}
    for name, parameters in _PARAMETERS.items()
]
_ORDER: Final = _object(
    order={"type": "integer"},
    customer={"type": "string"},
    state={"type": "string", "enum": list(_STATES)},
    lines={
        "type": "array",
        "minItems": 1,
        "items": _object(what={"type": "string"}, number={"type": "integer", "minimum": 1}),
    },
)


class Tools:
    """The suite."""

    name = "tools"
    data = "built in"

    def plans(self) -> Sequence[Plan]:
        """Return a slice for tools, one for JSON by a schema and one for JSON without."""
        return [
            Plan("tools", Guards(features=("tools",)), _tool_cases, floor=HALF, features=("tools",)),
            Plan("json_schema", Guards(features=("json_schema",)), _schema_cases, features=("json_schema",)),
            Plan("json_object", Guards(features=("json_object",)), _object_cases, features=("json_object",)),
        ]


def _tool_cases(seed: int, count: int) -> Iterator[Case]:
    for number in range(count):
        rng = random.Random(f"tools/{seed}/{number}")
        yield _uncalled(rng, number) if number % 2 else _called(rng, number)


def _called(rng: random.Random, number: int) -> Case:
    name = rng.choice(tuple(_PARAMETERS))
    town, person, thing = rng.choice(_TOWNS), rng.choice(_PEOPLE), rng.choice(_THINGS)
    unit, many, hour = rng.choice(_UNITS), rng.randint(2, 60), rng.randint(1, 12)
    each: dict[str, tuple[str, dict[str, object]]] = {
        "get_weather": (f"How warm is it in {town} today, in {unit}?", {"town": town, "unit": unit}),
        "order_goods": (f"Please order {many} {thing} for us.", {"what": thing, "number": many}),
        "send_message": (
            f'Text {person} exactly this: "See you at {hour}"',
            {"to": person, "text": f"See you at {hour}"},
        ),
    }
    asked, wanted = each[name]

    def check(said: Sequence[Said]) -> Mark:
        return is_right(len(said[0].calls) == 1 and _is_call(said[0].calls[0], name, wanted))

    return Case(f"call/{number}", (_with_tools(asked),), check, wanted=f"{name} {json.dumps(wanted)}")


def _is_call(call: tuple[str, str], name: str, wanted: Mapping[str, object]) -> bool:
    called, written = call
    arguments = parsed(written)
    return called == name and not misfit(arguments, _PARAMETERS[name]) and _plain(arguments) == _plain(wanted)


def _uncalled(rng: random.Random, number: int) -> Case:
    one, two = rng.randint(2, 40), rng.randint(2, 40)
    person, thing = rng.choice(_PEOPLE), rng.choice(_THINGS)
    asked, wanted = rng.choice(
        (
            (f"How much is {one} plus {two}? Answer with the number.", str(one + two)),
            (f"Write the name {person} in capital letters, nothing else.", person.upper()),
            (f"Which word comes first in the alphabet, {thing} or zebra? Answer with the word.", thing),
        )
    )

    def check(said: Sequence[Said]) -> Mark:
        return is_right(not said[0].calls and bool(said[0].text.strip()))

    return Case(f"no call/{number}", (_with_tools(asked),), check, wanted=f"an answer without a call, such as {wanted}")


def _with_tools(asked: str) -> dict[str, Any]:
    return {"messages": spoken(asked), "tools": _TOOLS, "tool_choice": "auto", "max_tokens": ANSWER_TOKENS}


def _schema_cases(seed: int, count: int) -> Iterator[Case]:
    wants = {"type": "json_schema", "json_schema": {"name": "order", "strict": True, "schema": _ORDER}}
    for number in range(count):
        told, wanted = _order(random.Random(f"json_schema/{seed}/{number}"))
        body = {
            "messages": spoken(f"Write this order as JSON.\n\n{told}"),
            "response_format": wants,
            "max_tokens": ANSWER_TOKENS,
        }
        yield _json_case(number, body, wanted)


def _object_cases(seed: int, count: int) -> Iterator[Case]:
    fields = (
        'Write this order as one JSON object with the fields "order" (a number), "customer", "state" (open, paid or '
        'sent) and "lines", a list of objects with "what" and "number".'
    )
    for number in range(count):
        told, wanted = _order(random.Random(f"json_object/{seed}/{number}"))
        body = {
            "messages": spoken(f"{fields}\n\n{told}"),
            "response_format": {"type": "json_object"},
            "max_tokens": ANSWER_TOKENS,
        }
        yield _json_case(number, body, wanted)


def _order(rng: random.Random) -> tuple[str, dict[str, Any]]:
    lines = [{"what": what, "number": rng.randint(2, 60)} for what in rng.sample(_THINGS, rng.randint(1, 2))]
    said = {
        "order": rng.randint(1_000, 9_999),
        "customer": rng.choice(_PEOPLE),
        "state": rng.choice(_STATES),
        "lines": lines,
    }
    goods = " and ".join(f"{line['number']} {line['what']}" for line in lines)
    return f"{said['customer']} ordered {goods}. The order has the number {said['order']} and is {said['state']}.", said


def _json_case(number: int, body: Mapping[str, Any], wanted: Mapping[str, Any]) -> Case:
    def check(said: Sequence[Said]) -> Mark:
        value = parsed(said[0].text)
        return is_right(not misfit(value, _ORDER) and _plain(value) == _plain(wanted))

    return Case(str(number), (body,), check, wanted=json.dumps(wanted))


def parsed(text: str) -> object:
    """Return what JSON text says; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(value: object) -> object:
    """Return a value without what does not change its meaning: case and edges of texts, the order of a list."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted((_plain(part) for part in value), key=repr)
    return value.strip().casefold() if isinstance(value, str) else value
