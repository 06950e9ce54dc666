"""What the candidates reached -> the model card.

The card says whatever was measured; its words promise nothing that its tables do not show.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from backends.engines.desk import shop
from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.questions import HELD_OUT_ONE_IN, Difficulty

_TEMPLATE = Path(__file__).parent / "card.md"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trained model.

    Attributes:
        tokens: seen in training, padding aside.
        accuracy: on unseen questions, by difficulty and language.
    """

    name: str
    seed: int
    bytes: int
    parameters: int
    steps: int
    tokens: int
    accuracy: Mapping[tuple[Difficulty, str], Accuracy]

    def of(self, difficulty: Difficulty) -> Accuracy:
        """Return the accuracy in both languages together."""
        return total(each for (kind, _), each in self.accuracy.items() if kind is difficulty)


def total(parts: Iterable[Accuracy]) -> Accuracy:
    """Return several accuracies as one."""
    every = list(parts)
    return Accuracy(sum(part.right for part in every), sum(part.asked for part in every))


def write_card(path: Path, candidates: Sequence[Candidate], *, published: int) -> None:
    """Write the card to `path`, replacing what was there."""
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        shop=shop.SHOP,
        products=shop.PRODUCTS,
        held_out=HELD_OUT_ONE_IN,
        published=published,
        rows="\n".join(_row(candidate, published) for candidate in candidates),
        seeds=",".join(str(seed) for seed in sorted({candidate.seed for candidate in candidates})),
    )
    path.write_text(text, encoding="utf-8")


def _row(candidate: Candidate, published: int) -> str:
    by_language = [
        " / ".join(f"{candidate.accuracy[difficulty, language].share:.1%}" for language in ("en", "zh"))
        for difficulty in Difficulty
    ]
    seed = f"**{candidate.seed}**" if candidate.seed == published else f"{candidate.seed}"
    return (
        f"| {candidate.name} | {seed} | {candidate.parameters:,} | {candidate.bytes / 1e6:.2f} MB "
        f"| {candidate.steps:,} "
        f"| {candidate.tokens / 1e6:.1f} M "
        f"| {_measured(candidate.of(Difficulty.SIMPLE))} | {_measured(candidate.of(Difficulty.COMPLEX))} "
        f"| {by_language[0]} | {by_language[1]} |"
    )


def _measured(accuracy: Accuracy) -> str:
    low, high = accuracy.interval()
    return f"{accuracy.right}/{accuracy.asked} = {accuracy.share:.1%} [{low:.1%}, {high:.1%}]"
