"""The words of a trial: which models, what was done with them, what came of it.

Each trial is `measure(...)` of its own module and runs in a process of its own (`__main__.py`): arguments come in and
results go out as JSON of these words. No torch is imported here, so whoever only reads results needs none.
"""

from statistics import median
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["mistral", "windowed", "mixtral"]
MIXTRAL: Final = "mixtral"


class Shape(Struct, frozen=True):
    """A model's shape.

    Attributes:
        kind: "mistral" has full attention, "windowed" is one with a sliding window, "mixtral" has 8 experts, of which 2
            compute a token.
        feed_forward: width of the feed-forward layer, or of one expert's.
        window: tokens of the sliding window; None is full attention.
        context: tokens.
        dtype: of the weights, as torch calls it.
        vocabulary: tokens that there are embeddings for; the tokenizer has 1024.
    """

    kind: Kind
    hidden: int
    layers: int
    feed_forward: int
    heads: int
    kv_heads: int
    window: int | None = None
    context: int = 2048
    dtype: str = "float32"
    vocabulary: int = 1024


class Written(Struct, frozen=True):
    """A model on disk.

    Attributes:
        folder: of the model.
        draft: folder of its draft model; "" where there is none.
        gguf: the same weights for llama.cpp, in 16 bits; "" where there is no such file.
        parameters: all weights.
        active: those that compute one token.
    """

    shape: Shape
    folder: str
    draft: str
    gguf: str
    parameters: int
    active: int


class Equality(Struct, frozen=True):
    """Greedy answers of one mode beside those of `generate()`.

    Attributes:
        model: its kind, or its name.
        answers: how many there were.
        equal: how many were the same, token for token.
        used: tokens that the mode really had a part in: in a batch with others, found in Redis, drafted. With 0 the
            mode was not tried, and nothing counts as equal.
    """

    model: str
    mode: str
    answers: int
    equal: int
    used: int


class Timed(Struct, frozen=True):
    """One measurement: seconds on the clock, and of this process's CPU."""

    wall: float
    cpu: float


class Compared(Struct, frozen=True):
    """One way beside another: rounds that were taken in turns.

    Attributes:
        plain: what it is compared with, a reading a round.
        better: what should be faster, likewise.
        work: of one reading of `better` over that of one of `plain`, such as 16 answers against 1.
    """

    plain: tuple[Timed, ...]
    better: tuple[Timed, ...]
    work: float = 1.0

    @property
    def ratio(self) -> float:
        """Return how many times faster `better` does the same work, by the clock: the median of the rounds."""
        pairs = zip(self.plain, self.better, strict=True)
        return self.work * median(plain.wall / better.wall for plain, better in pairs)

    @property
    def cpu_ratio(self) -> float:
        """Return the same by CPU seconds."""
        pairs = zip(self.plain, self.better, strict=True)
        return self.work * median(plain.cpu / max(better.cpu, 1e-9) for plain, better in pairs)


class Drafted(Struct, frozen=True):
    """A model alone beside the same model with a draft model.

    Attributes:
        drafted: tokens that were proposed.
        accepted: of them.
        pays: whether the engine, at the end, went on drafting.
        speed: of answers, alone beside drafted, one reading for each prompt.
    """

    model: str
    drafted: int
    accepted: int
    pays: bool
    speed: Compared


class Modes(Struct, frozen=True):
    """What came of comparing modes with `generate()`."""

    cells: tuple[Equality, ...]
    drafts: tuple[Drafted, ...]


class Served(Struct, frozen=True):
    """One model behind an engine's own interface.

    Attributes:
        engine: "transformers" or "llama_cpp".
        batching: `work` answers at once beside one.
        places: answers at once.
        answer_tokens, prompt_tokens: of each answer and prompt.
        first: seconds to the first chunk of a streamed answer beside seconds to the same answer in one piece.
        equal: streamed answers whose text is that of the answer in one piece.
        streams: how many there were.
        busy: share of this machine's rate of multiplying matrices that one answer at a time, and the batch, make use
            of; 0.0 where that was not measured.
    """

    engine: str
    kind: str
    places: int
    prompt_tokens: int
    answer_tokens: int
    batching: Compared
    first: Compared
    equal: int
    streams: int
    busy: tuple[float, float] = (0.0, 0.0)

    @property
    def answers_per_second(self) -> tuple[float, float]:
        """Return how many answers a second, one at a time and as many at once as there are places: medians."""
        alone = median(reading.wall for reading in self.batching.plain) * self.batching.work / self.places
        return 1 / alone, self.places / median(reading.wall for reading in self.batching.better)

    @property
    def first_share(self) -> float:
        """Return the share of the whole answer's time after which a stream has begun."""
        return 1 / self.first.ratio


class Prefixed(Struct, frozen=True):
    """Prefix KV in a process that never computed it.

    Attributes:
        engine: "transformers" or "llama_cpp".
        tokens: of the prefix.
        prompts: asked.
        found: of them, whose whole prefix came from Redis within its budget.
        first: seconds to the first token, computed, beside those with the prefix from Redis.
        whole: the same for a whole answer.
        logit_difference: the largest; None where the engine tells no logits.
        other_tenant: tokens that another tenant found of the same prompts.
        answers: with a prefix from Redis, beside those of `generate()`; None where there is no such thing.
        bytes_per_token: of stored KV; 0 where that is not told.
    """

    engine: str
    kind: str
    tokens: int
    prompts: int
    found: int
    first: Compared
    whole: Compared
    logit_difference: float | None
    other_tenant: int
    answers: Equality | None
    bytes_per_token: float = 0.0


class Shrunk(Struct, frozen=True):
    """What fewer bits cost.

    Attributes:
        engine: "transformers" or "llama_cpp".
        kind: such as "q8_0" or "int4".
        bits: 8, 6 or 4.
        size: share of the bytes in 16 bits.
        perplexity: factor that it changed by.
        right_before, right_after: questions answered rightly.
        questions: how many.
    """

    engine: str
    kind: str
    bits: int
    size: float
    perplexity: float
    right_before: int
    right_after: int
    questions: int

    @property
    def right_lost(self) -> float:
        """Return the share of the questions that are answered rightly no more, gains taken off."""
        return (self.right_before - self.right_after) / self.questions


class Faster(Struct, frozen=True):
    """A model in fewer bits beside itself, by the time that the same answers take.

    Attributes:
        plain, better: what its weights are stored in.
    """

    engine: str
    plain: str
    better: str
    speed: Compared


class Shrinking(Struct, frozen=True):
    """What fewer bits cost and give."""

    costs: tuple[Shrunk, ...]
    speeds: tuple[Faster, ...]


class Device(Struct, frozen=True):
    """An accelerator.

    Attributes:
        memory: bytes.
        bandwidth: of it, bytes a second, as measured.
    """

    name: str
    memory: int
    bandwidth: float
