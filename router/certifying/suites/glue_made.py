"""Seed -> a file of each GLUE task that the project made itself.

So that the suite runs without a download. The sentences are made of a few dozen words each way and are easy for a model
that reads English: they tell a model that can do such tasks from one that cannot, and stand for nobody's benchmark.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from router.certifying.suites.glue_tasks import Task

_NOUNS: Final = (
    "teacher gardener pilot baker sailor painter doctor farmer singer lawyer tailor miller nurse porter judge "
    "plumber cook clerk driver poet"
).split()
_VERBS: Final = "greets watches follows helps calls thanks meets visits praises warns blames hears".split()
_ADVERBS: Final = "quietly often rarely gladly slowly openly politely suddenly".split()
_GOOD: Final = "charming moving brilliant graceful witty warm gripping clever tender superb".split()
_BAD: Final = "dull clumsy tedious shallow lifeless muddled bland tiresome hollow dreadful".split()
_PARTS: Final = "plot script acting music editing dialogue camera pacing ending cast".split()
_HOW: Final = "truly rather very quite utterly really".split()
_FIRMS: Final = "Norvex Talmar Ostrel Brantec Quillon Ferrano Lumeta Dorvik Halcyor Wexmoor".split()
_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_GOODS: Final = "trucks lamps pumps tables engines cables bicycles kettles".split()
_TOWNS: Final = "Arlen Bremdal Corvia Dunmoor Elsby Farholt Grenna Hadlow".split()
_TASKS: Final = "clean repair sell paint store move polish fold".split()
_OBJECTS: Final = "a wool coat,an old piano,a leather chair,a wooden boat,a glass table,a garden fence".split(",")
_HOUSES: Final = "museum library theatre station harbour market".split()
_FITS: Final = (("trophy", "bag"), ("sofa", "van"), ("ladder", "shed"), ("painting", "crate"), ("drum", "locker"))

_Row = Mapping[str, str]


def made_file(task: Task, seed: int, count: int) -> str:
    """Return a file with as many different examples, the classes in turn."""
    rng, labels = random.Random(f"made/{task.name}/{seed}"), _LABELS[task.name]
    rows, seen = list[str](), set[tuple[str, ...]]()
    while len(rows) < count:
        label = labels[len(rows) % len(labels)]
        row = _MAKERS[task.name](rng, label)
        texts = tuple(row[name] for name in task.texts)
        if texts not in seen:
            seen.add(texts)
            cells = {"index": str(len(rows)), **row, task.label: label}
            rows.append("\t".join(cells.get(name, "-") for name in task.columns))
    head = ["\t".join(task.columns)] if task.has_head else []
    return "\n".join([*head, *rows]) + "\n"


def _cola(rng: random.Random, label: str) -> _Row:
    one, two = rng.sample(_NOUNS, 2)
    verb, adverb = rng.choice(_VERBS), rng.choice(_ADVERBS)
    if label == "1":
        return {"sentence": rng.choice((f"The {one} {adverb} {verb} the {two}.", f"The {one} {verb} the {two}."))}
    wrong = (
        f"The {one} {adverb} {verb} {two} the.",
        f"{verb.capitalize()} the {one} the {two} {adverb}.",
        f"The {one}s {adverb} {verb} the {two}.",
        f"The {one} the {two} {verb} {adverb} the.",
    )
    return {"sentence": rng.choice(wrong)}


def _sst2(rng: random.Random, label: str) -> _Row:
    words = _GOOD if label == "1" else _BAD
    (one, two), (first, second) = rng.sample(_PARTS, 2), rng.sample(words, 2)
    return {"sentence": f"the {one} is {rng.choice(_HOW)} {first} , and the {two} is {second} ."}


def _mrpc(rng: random.Random, label: str) -> _Row:
    firm, day, town = rng.choice(_FIRMS), rng.choice(_DAYS), rng.choice(_TOWNS)
    (goods, others), number = rng.sample(_GOODS, 2), rng.randint(20, 900)
    told = (goods, number, town) if label == "1" else (others, number * 2, rng.choice(_TOWNS))
    return {
        "#1 String": f"{firm} said on {day} that it will build {number} {goods} a week in {town}.",
        "#2 String": f"On {day}, {firm} said {told[1]} {told[0]} a week will be built in {told[2]}.",
    }


def _qqp(rng: random.Random, label: str) -> _Row:
    (task, other), (thing, another) = rng.sample(_TASKS, 2), rng.sample(_OBJECTS, 2)
    ways = ("What is the best way to {} {}?", "Can you tell me how to {} {}?", "How should I {} {}?")
    asked = (task, thing) if label == "1" else (other, another)
    town = rng.choice(_TOWNS)
    return {
        "question1": f"I live in {town}. How do I {task} {thing}?",
        "question2": f"I live in {town}. {rng.choice(ways).format(*asked)}",
    }


def _nli(rng: random.Random, label: str) -> _Row:
    (one, two), day, town = rng.sample(_NOUNS, 2), rng.choice(_DAYS), rng.choice(_TOWNS)
    goods, number = rng.choice(_GOODS), rng.randint(3, 90)
    follows = {
        "entailment": f"The {two} got something from the {one}.",
        "neutral": f"The {two} had lived in {town} for many years.",
        "contradiction": f"The {two} got nothing from the {one} on {day}.",
    }
    follows["not_entailment"] = rng.choice((follows["neutral"], follows["contradiction"]))
    premise = f"On {day} the {one} gave the {two} {number} {goods} in {town}."
    return {"sentence1": premise, "sentence2": follows[label]}


def _qnli(rng: random.Random, label: str) -> _Row:
    house, town, year = rng.choice(_HOUSES), rng.choice(_TOWNS), rng.randint(1820, 1990)
    firm = rng.choice(_FIRMS)
    told = (
        f"The {house} of {town} was opened in {year} and paid for by {firm}."
        if label == "entailment"
        else f"The {house} of {town} has {year - 1800} rooms and belongs to {firm}."
    )
    return {"question": f"In which year was the {house} of {town} opened?", "sentence": told}


def _wnli(rng: random.Random, label: str) -> _Row:
    (thing, room), day, owner = rng.choice(_FITS), rng.choice(_DAYS), rng.choice(_NOUNS)
    size = rng.choice(("large", "small"))
    meant, other = (thing, room) if size == "large" else (room, thing)
    return {
        "sentence1": f"On {day} the {owner}'s {thing} did not fit into the {room} because it was too {size}.",
        "sentence2": f"The {meant if label == '1' else other} was too {size}.",
    }


def _stsb(rng: random.Random, label: str) -> _Row:
    (one, two, three), (verb, other) = rng.sample(_NOUNS, 3), rng.sample(_VERBS, 2)
    adverb, day, town = rng.choice(_ADVERBS), rng.choice(_DAYS), rng.choice(_TOWNS)
    said = {
        "5.000": f"On {day}, the {one} {adverb} {verb} the {two}.",
        "3.000": f"The {one} {adverb} {verb} the {three} on {day}.",
        "0.500": f"In {town} a {three} never {other} anybody.",
    }
    return {"sentence1": f"The {one} {adverb} {verb} the {two} on {day}.", "sentence2": said[label]}


_MAKERS: Final[Mapping[str, Callable[[random.Random, str], _Row]]] = {
    "cola": _cola,
    "sst2": _sst2,
    "mrpc": _mrpc,
    "qqp": _qqp,
    "mnli": _nli,
    "qnli": _qnli,
    "rte": _nli,
    "wnli": _wnli,
    "stsb": _stsb,
}
_BINARY: Final = ("1", "0")
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("cola", "sst2", "mrpc", "qqp", "wnli"), _BINARY),
    **dict.fromkeys(("qnli", "rte"), ("entailment", "not_entailment")),
    "mnli": ("entailment", "neutral", "contradiction"),
    "stsb": ("5.000", "3.000", "0.500"),
}
