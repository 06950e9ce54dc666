"""Labelled pairs and a recipe -> an encoder's folder.

The target is "Mini is not enough". Groups are dealt to three parts: one is fitted on, one says when to stop, gives
the calibration and the threshold, and one is only measured on. All measures are of the graph that is written, run as
it will be served. Needs the extra [train]; serving never loads this file.
"""

import copy
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from classifier.base import Prompt
from classifier.calibrating.calibration import fit_platt
from classifier.encoder import TokenReader, texts_of
from classifier.encoding.export import OPSET, exported
from classifier.encoding.folder import Figures, Folder, digest, write_folder
from classifier.encoding.model import Encoder, Rows, Untrained, logits_of, tensors, untrained
from classifier.encoding.recipe import DeviceAway, Recipe
from classifier.encoding.report import Report, card_of, measures_of, suggested_threshold
from classifier.measures import Reals
from classifier.pairs import FEWEST_GROUPS, Pair, check

# Loaded by name: the contract that keeps torch out of what serves requests reads import statements.
torch = import_module("torch")

BATCH = 32
POOL = 16  # batches that are sorted by length together
PATIENCE = 3  # epochs
COMPARED = 64  # rows on which the graph is compared with the model
SAID_EVERY = 50  # steps
WARM_UP = 0.1  # share of the steps in which the learning rate grows; then it falls, to nothing at the last one
TALKED = 0.15  # share of the single questions that are seen after another one, too

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What to write and what is known about it."""

    folder: Folder
    report: Report


@dataclass(frozen=True, slots=True)
class Parts:
    """Pairs of which no group is in two parts: to fit on, to tune on, to measure on."""

    fitted: list[Pair]
    tuned: list[Pair]
    measured: list[Pair]


def train_encoder(
    pairs: Sequence[Pair], recipe: Recipe, *, name: str, version: str, seed: int, say: Say, margin: float = 0.01
) -> Trained:
    """Return an encoder trained on the pairs; on one machine's CPU, equal arguments give equal weights.

    Args:
        say: called with lines about the progress.
        margin: how far the mix's mean quality may lie below all-Large's.

    Raises:
        PairsError: too few rows or groups of either class.
        NotTrained: the base cannot be fine-tuned, torch has no such device, or the graph differs from the model.
    """
    check(pairs, "pairs")
    device = _device(recipe.device)
    parts = split(pairs, seed)
    chance = random.Random(seed)
    torch.manual_seed(seed)
    fitted = [*parts.fitted, *_talked(parts.fitted, chance)]
    made = untrained(recipe, [text for pair in parts.fitted for text in texts_of(pair.prompt) if text])
    reader = TokenReader(made.tokenizer, longest=made.longest, start=made.start, separator=made.separator)
    rows = [_rows(reader, part) for part in (fitted, parts.tuned, parts.measured)]
    say(f"{_size(made.model):,} parameters, {len(rows[0]):,} rows to fit on, {len(rows[1]):,} to tune on; on {device}")
    epochs = _fit(made, (rows[0], _target(fitted)), (rows[1], _target(parts.tuned)), recipe, device, chance, say)
    found = exported(made, rows[2][:COMPARED], int8=recipe.int8)
    logits = [np.array(found.session.logits(part)) for part in rows[1:]]
    line = fit_platt(logits[0], _target(parts.tuned) > 0, groups=[pair.group for pair in parts.tuned])
    tuned, scores = (line.probabilities(part) for part in logits)
    threshold = suggested_threshold(tuned, parts.tuned, margin=margin)
    exact = None if found.exact is None else np.array(found.exact.logits(rows[2]))
    report = Report(
        rows=len(pairs),
        groups=len({pair.group for pair in pairs}),
        needing_large=int(_target(pairs).sum()),
        held_out=len(parts.measured),
        seed=seed,
        epochs=epochs,
        parameters=_size(made.model),
        margin=margin,
        opset=OPSET,
        difference=found.difference,
        int8_difference=found.int8_difference,
        **measures_of(scores, exact, parts.measured, threshold=threshold, seed=seed),
    )
    figures = Figures(
        name=name,
        version=f"{version}-{digest(found.graph)[:8]}",
        longest=made.longest,
        start=made.start,
        separator=made.separator,
        pad=made.pad,
        calibration=line,
        prior=float(_target(pairs).mean()),
        threshold=threshold,
        fitted_on=asdict(report),
    )
    return Trained(Folder(figures, found.graph, made.tokenizer), report)


def split(pairs: Sequence[Pair], seed: int) -> Parts:
    """Return the parts, three fifths of the groups to fit on and a fifth each to tune and to measure on.

    Groups are dealt in an order that gives each part both classes, as `FEWEST_GROUPS` has either.
    """
    sides: dict[str, set[bool]] = {}
    for pair in pairs:
        sides.setdefault(pair.group, set()).add(pair.needs_large)
    groups = sorted(sides)
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: sum(-1 if side else 1 for side in sides[group]))  # Large only, both, Mini only
    dealt: list[list[Pair]] = [[] for _ in range(FEWEST_GROUPS)]
    place = {group: at % FEWEST_GROUPS for at, group in enumerate(groups)}
    for pair in pairs:
        dealt[place[pair.group]].append(pair)
    measured, tuned, *fitted = dealt
    return Parts([pair for part in fitted for pair in part], tuned, measured)


def write(trained: Trained, path: Path) -> None:
    """Write the folder with its card."""
    write_folder(trained.folder, path, card=card_of(trained.folder.figures, trained.report))


# --- fitting ---------------------------------------------------------------------------------------


def _device(asked: str) -> str:
    here = torch.cuda.is_available()
    if asked in {"cuda", "tensorrt"} and not here:
        raise DeviceAway(f"device {asked}: torch {torch.__version__} finds no CUDA device; train on cpu or auto")
    return "cuda" if here and asked != "cpu" else "cpu"


def _talked(pairs: Sequence[Pair], chance: random.Random) -> Iterator[Pair]:
    """Yield some single questions after others, with the same label, as most data hold no conversations."""
    for pair in pairs:
        text, earlier = texts_of(pair.prompt)
        if text and not earlier and chance.random() < TALKED:
            turns = (*chance.choice(pairs).prompt.turns, *pair.prompt.turns)
            yield Pair(Prompt(turns), pair.strong_score, pair.weak_score, pair.group)


def _rows(reader: TokenReader, pairs: Sequence[Pair]) -> list[list[int]]:
    return [reader.ids(texts_of(pair.prompt)) for pair in pairs]


def _target(pairs: Sequence[Pair]) -> Reals:
    return np.array([pair.needs_large for pair in pairs], float)


def _size(model: Encoder) -> int:
    return sum(weights.numel() for weights in model.parameters())


def _fit(
    made: Untrained,
    fitted: tuple[Rows, Reals],
    tuned: tuple[Rows, Reals],
    recipe: Recipe,
    device: str,
    chance: random.Random,
    say: Say,
) -> int:
    """Train in place, keep the weights with the lowest loss on the tuned rows, and return their epoch."""
    model = made.model.to(device)
    rate = recipe.highest_rate
    steps = math.ceil(len(fitted[0]) / BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    total = steps * recipe.epochs
    rising = max(1, round(WARM_UP * total))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / rising, (total - step) / max(1, total - rising))
    )
    best, best_epoch, kept = math.inf, 0, copy.deepcopy(model.state_dict())
    begun = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        for step, batch in enumerate(_batches(fitted[0], chance), 1):
            logits = model(*tensors([fitted[0][at] for at in batch], pad=made.pad, device=device))
            target = torch.tensor(fitted[1][batch], dtype=logits.dtype, device=device)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            if step % SAID_EVERY == 0:
                say(f"epoch {epoch} of {recipe.epochs}, step {step} of {steps}: loss {loss.item():.4f}")
        found = _log_loss(logits_of(model, tuned[0], pad=made.pad, device=device), tuned[1])
        say(f"epoch {epoch} of {recipe.epochs}: tuned rows' loss {found:.4f}, {time.monotonic() - begun:.0f} s")
        if found < best:
            best, best_epoch, kept = found, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    model.load_state_dict(kept)
    return best_epoch


def _batches(rows: Rows, chance: random.Random) -> Iterator[list[int]]:
    """Yield places of rows, all once; rows of one batch are of similar length, so that little is padded."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    batches = []
    for start in range(0, len(order), BATCH * POOL):
        pool = sorted(order[start : start + BATCH * POOL], key=lambda at: len(rows[at]))
        batches += [pool[first : first + BATCH] for first in range(0, len(pool), BATCH)]
    chance.shuffle(batches)
    yield from batches


def _log_loss(logits: Sequence[float], target: Reals) -> float:
    found = np.array(logits)
    return float((np.logaddexp(0, found) - target * found).mean())
