"""A seed and sentences -> texts that are told well, English and Chinese: what must not be taken for a loop.

Prose, and all that repeats itself for a reason: verse with its refrain, contracts, lists in one pattern, surveys, code,
tables, documents, rules and forms.
"""

import json
import random
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

Seeds = Mapping[str, Any]
"""Sentences and words of one language; keys as in `quality_seeds.json`."""

_EN: Final = "en"


def seeds_of(part: str) -> dict[str, Seeds]:
    """Return what texts are made from, by language.

    Args:
        part: "tuning" or "judging"; no sentence stands in both.
    """
    text = files("router.bench.numbers").joinpath("quality_seeds.json").read_text(encoding="utf-8")
    parts: dict[str, dict[str, Seeds]] = json.loads(text)
    return parts[part]


class Teller:
    """Makes texts of one language, each other than the ones before.

    Attributes:
        glue: what stands between two sentences.
    """

    def __init__(self, language: str, seeds: Seeds, rng: random.Random) -> None:
        self.seeds, self.rng = seeds, rng
        self.is_english = language == _EN
        self.glue = " " if self.is_english else ""

    def sentence(self) -> str:
        """Return one sentence of many."""
        if self.rng.random() < 0.4:  # noqa: PLR2004 - of them written by hand
            return str(self.pick("sentences"))
        one, other = self.pick("nouns"), self.pick("nouns")
        quality, verb, place, name = (self.pick(kind) for kind in ("adjectives", "verbs", "places", "names"))
        if self.is_english:
            forms = (
                f"The {quality} {one} {verb} by the {place}, and {name} took the {other} along.",
                f"{name} found a {quality} {one} near the {place} while the {other} {verb}.",
                f"In the {place} a {one} {verb}; the {other} was too {quality} for {name}.",
                f"Why had {name} left the {quality} {one} at the {place}?",
            )
        else:
            forms = (
                f"{place}有一个{quality}{one}{verb}，{name}带走了{other}。",
                f"{name}在{place}找到了{quality}{one}，而{other}{verb}。",
                f"{place}里的{one}{verb}，可是{other}对{name}来说太重。",
                f"{name}为什么把{quality}{one}留在{place}？",
            )
        return self.rng.choice(forms)

    def prose(self, sentences: int) -> str:
        """Return sentences that do not come twice."""
        found = dict[str, None]()
        while len(found) < sentences:
            found[self.sentence()] = None
        return self.glue.join(found)

    def paragraphs(self, count: int) -> str:
        """Return prose in paragraphs."""
        return "\n\n".join(self.prose(self.rng.randint(2, 6)) for _ in range(count))

    def pick(self, kind: str) -> Any:  # noqa: ANN401 - sentences, or pairs of words
        """Return one of the seeds of a kind."""
        return self.rng.choice(self.seeds[kind])


def _prose(teller: Teller) -> str:
    return teller.paragraphs(teller.rng.randint(1, 8))


def _cut_prose(teller: Teller) -> str:
    text = teller.prose(teller.rng.randint(6, 24))
    return text[: len(text) - teller.rng.randint(2, 12)]


def _poem(teller: Teller) -> str:
    refrain = teller.pick("refrain")
    stanzas = [[teller.sentence() for _ in range(3)] for _ in range(teller.rng.randint(3, 6))]
    return "\n\n".join("\n".join([*stanza, refrain]) for stanza in stanzas)


def _song(teller: Teller) -> str:
    chorus = teller.pick("chorus")
    verses = ["\n".join(teller.sentence() for _ in range(4)) for _ in range(teller.rng.randint(2, 4))]
    return "\n\n".join(f"{verse}\n\n{chorus}" for verse in verses)


def _contract(teller: Teller) -> str:
    rng, parties = teller.rng, teller.pick("parties")
    clauses = [
        rng.choice(teller.seeds["legal"]).format(
            a=parties[0], b=parties[1], x=teller.pick("nouns"), n=rng.randint(1, 40)
        )
        for _ in range(rng.randint(6, 24))
    ]
    return "\n".join(f"{number}. {clause}" for number, clause in enumerate(clauses, 1))


def _facts(teller: Teller) -> str:
    pattern, facts = teller.pick("patterns"), [*teller.seeds["facts"]]
    teller.rng.shuffle(facts)
    lines = [pattern.format(a=a, b=b) for a, b in facts[: teller.rng.randint(8, len(facts))]]
    return teller.rng.choice(("\n", teller.glue, "\n- ")).join(lines)


def _survey(teller: Teller) -> str:
    pattern = teller.pick("survey")
    things = teller.rng.sample(teller.seeds["nouns"], teller.rng.randint(6, 16))
    return "\n".join(f"{number}. {pattern.format(x=thing)}" for number, thing in enumerate(things, 1))


def _list(teller: Teller) -> str:
    things = teller.rng.sample(teller.seeds["nouns"], teller.rng.randint(8, 25))
    head = teller.sentence()
    return head + "\n" + "\n".join(f"- {teller.pick('adjectives')} {thing}" for thing in things)


def _steps(teller: Teller) -> str:
    word = "Step {}: " if teller.is_english else "第{}步："
    return "\n".join(word.format(number) + teller.sentence() for number in range(1, teller.rng.randint(6, 14)))


def _dialogue(teller: Teller) -> str:
    one, other = teller.rng.sample(teller.seeds["names"], 2)
    mark = ": " if teller.is_english else "："
    return "\n".join(f"{(one, other)[turn % 2]}{mark}{teller.sentence()}" for turn in range(teller.rng.randint(6, 20)))


def _emphasis(teller: Teller) -> str:
    cry = "No, no, no, no, no!" if teller.is_english else "不，不，不，不，不！"
    laugh = "Ha ha ha ha ha." if teller.is_english else "哈哈哈哈哈哈。"
    return teller.glue.join((teller.prose(4), cry, teller.prose(3), laugh, teller.prose(teller.rng.randint(1, 6))))


def _key(teller: Teller) -> str:
    rng = teller.rng
    return teller.sentence() + "\n" + "\n".join(f"{n}. {rng.choice('ABCD')}" for n in range(1, rng.randint(20, 60)))


def _sums(teller: Teller) -> str:
    by, upto = teller.rng.randint(2, 12), teller.rng.randint(9, 30)
    return teller.sentence() + "\n" + "\n".join(f"{by} × {n} = {by * n}" for n in range(1, upto))


def _readings(teller: Teller) -> str:
    rng = teller.rng
    form = "On day {} the temperature was {} degrees." if teller.is_english else "第{}天的气温是{}度。"
    return "\n".join(form.format(day, rng.randint(-9, 38)) for day in range(1, rng.randint(10, 31)))


def _table(teller: Teller) -> str:
    rng = teller.rng
    rows = [
        f"| {rng.choice(teller.seeds['names'])} | {rng.choice(('yes', 'no', '—'))} | {rng.randint(0, 9)} | open |"
        for _ in range(rng.randint(8, 30))
    ]
    return "\n".join([teller.sentence(), "", "| a | b | c | d |", "|---|---|---|---|", *rows, "", teller.sentence()])


def _cells(teller: Teller) -> str:
    rng = teller.rng
    rows = [f"{n},{teller.pick('names')},{teller.pick('places')},{rng.choice((0, 1))},active" for n in range(1, 30)]
    return "\n".join(["id,name,place,flag,state", *rows])


def _document(teller: Teller) -> str:
    rng = teller.rng
    rows = [
        {"id": n, "name": teller.pick("names"), "status": "active", "tags": [], "score": rng.choice((0, 0, 1))}
        for n in range(rng.randint(8, 30))
    ]
    body = json.dumps(rng.choice((rows, {"items": rows}, [0] * 120)), ensure_ascii=False, indent=rng.choice((None, 2)))
    return rng.choice(("{}", "```json\n{}\n```", teller.sentence().replace("{", "") + "\n```json\n{}\n```")).replace(
        "{}", body
    )


def _code(teller: Teller) -> str:
    rng = teller.rng
    names = rng.sample("width height depth colour weight label owner price amount origin target".split(), 7)
    python = "\n\n".join(
        f"    @property\n    def {name}(self) -> int:\n        return self._values[{n}]" for n, name in enumerate(names)
    )
    java = "\n".join(
        f"    public void set{name.title()}(int {name}) {{\n        this.{name} = {name};\n    }}\n" for name in names
    )
    page = "\n".join(
        f'    <tr>\n      <td class="cell">{name}</td>\n      <td class="cell"></td>\n    </tr>' for name in names
    )
    table = "\n".join(
        f"INSERT INTO things (id, name, state) VALUES ({n}, '{name}', 'new');"  # noqa: S608 - a text, not run
        for n, name in enumerate(names)
    )
    body = rng.choice(
        (f"class Thing:\n{python}", f"public class Thing {{\n{java}}}", f"<table>\n{page}\n</table>", table)
    )
    return rng.choice((f"```\n{body}\n```", body, f"{teller.sentence()}\n\n```\n{body}\n```\n\n{teller.sentence()}"))


def _form(teller: Teller) -> str:
    fields = teller.rng.sample(teller.seeds["nouns"], 6)
    return "\n".join([teller.sentence(), "-" * 60, *(f"{field}: ____________________" for field in fields), "=" * 60])


def _contents(teller: Teller) -> str:
    return "\n".join(f"{n}. {teller.pick('nouns')} {'.' * 40} {n * 7}" for n in range(1, teller.rng.randint(8, 20)))


TOLD: Final[Mapping[str, Callable[[Teller], str]]] = {
    "prose": _prose,
    "cut prose": _cut_prose,
    "poem": _poem,
    "song": _song,
    "contract": _contract,
    "facts": _facts,
    "survey": _survey,
    "list": _list,
    "steps": _steps,
    "dialogue": _dialogue,
    "emphasis": _emphasis,
    "answer key": _key,
    "sums": _sums,
    "readings": _readings,
    "table": _table,
    "cells": _cells,
    "document": _document,
    "code": _code,
    "form": _form,
    "contents": _contents,
}
"""Kinds of texts that are no loop."""
