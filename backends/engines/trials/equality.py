"""Models -> whether answers stay, token for token, what `generate()` gives: in a batch, and with drafted tokens.

Answers behind a prefix from Redis are compared in `prefix.py`, in the process that found it.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from backends.engines.desk.gguf_reading import read_tokenizer, write_folder
from backends.engines.desk.shrinking import passages_of, questions
from backends.engines.engine_options import EngineOptions
from backends.engines.options import MODELS
from backends.engines.torch_engine.base import Drafter, Loaded
from backends.engines.torch_engine.loading import load_model
from backends.engines.torch_engine.speculative import open_drafter
from backends.engines.trials import asking
from backends.engines.trials.answering import Answering, Way, equality, truths
from backends.engines.trials.base import Compared, Drafted, Equality, Modes, Written

BATCH: Final = "batching"
DRAFT: Final = "speculative"

_PLACES: Final = 7  # fewer than prompts, so that answers come and go while others run
_LONGEST: Final = 90  # tokens of a prompt


def measure(*, models: list[Written], folder: str, answers: int = 12, limit: int = 32) -> Modes:
    """Compare the answers of each model in both modes.

    Args:
        models: with draft models.
        folder: gets the local models in the torch engine's format; Mini drafts for Large.
        answers: in a batch; half as many are drafted, since each is alone.
        limit: tokens of each answer.
    """
    cells: list[Equality] = []
    drafts: list[Drafted] = []
    for name, options, prompts in _cases(models, Path(folder), answers):
        loaded = load_model(options)
        truth = truths(loaded, prompts, limit=limit)
        batched, used = _batched(loaded, prompts, limit)
        cells.append(equality(batched, truth, model=name, mode=BATCH, used=used))
        drafter = open_drafter(loaded, options)
        if drafter is not None:
            alone, drafted = _drafted(loaded, drafter, prompts[: answers // 2], name, limit)
            cells.append(equality(alone, truth[: len(alone)], model=name, mode=DRAFT, used=drafted.drafted))
            drafts.append(drafted)
    return Modes(tuple(cells), tuple(drafts))


def _cases(
    models: Sequence[Written], folder: Path, answers: int
) -> Iterator[tuple[str, EngineOptions, list[list[int]]]]:
    """Yield names, models and what each is asked; the local ones, whose weights were trained, last."""
    given = [
        prompt[: 2 + 13 * place % _LONGEST] for place, prompt in enumerate(asking.prompts(answers, _LONGEST, seed=3))
    ]
    for each in models:
        draft = Path(each.draft) if each.draft else None
        yield each.shape.kind, _options(Path(each.folder), draft, each.shape.context), given
    large, mini = (folder / name for name in ("desk-large", "desk-mini"))
    for path in (large, mini):
        write_folder(MODELS / f"{path.name}.gguf", path)
    passages = passages_of(read_tokenizer(MODELS / "desk-large.gguf"), questions(answers))
    yield large.name, _options(large, mini, 1024), [list(each.ids[: each.given]) for each in passages]


def _options(model: Path, draft: Path | None, context: int) -> EngineOptions:
    return EngineOptions(model=model, name=model.name, engine="transformers", context=context, draft=draft)


def _batched(loaded: Loaded, prompts: Sequence[Sequence[int]], limit: int) -> tuple[list[list[int]], int]:
    """Return the answers of a batch, and how many tokens were computed beside others."""
    with closing(Answering(loaded, Way(places=_PLACES))) as answering:
        answers = answering.answer(prompts, limit=limit)
    return answers, sum(map(len, answers)) if len(prompts) > 1 else 0


def _drafted(
    loaded: Loaded, drafter: Drafter, prompts: Sequence[Sequence[int]], name: str, limit: int
) -> tuple[list[list[int]], Drafted]:
    plain, better, answers = [], [], list[list[int]]()
    with (
        closing(Answering(loaded, Way(places=1))) as alone,
        closing(Answering(loaded, Way(places=1, drafter=drafter))) as drafted,
    ):
        for prompt in prompts:
            began = asking.clock()
            alone.answer([prompt], limit=limit)
            plain.append(asking.since(began))
            began = asking.clock()
            answers += drafted.answer([prompt], limit=limit)
            better.append(asking.since(began))
    pays = bool(drafter.gauges()["draft_pays"])
    return answers, Drafted(name, drafted.drafted(), drafted.accepted(), pays, Compared(tuple(plain), tuple(better)))
