"""Prompt -> calibrated score, by a small transformer.

Looks at the same window as the linear classifier, as text: the last user turn, then earlier turns. What the encoder
says is a logit that only ranks; a line that was fitted beside it turns it into a probability. The cost is bounded by
the window and by the longest sequence, whatever the prompt's size; it is spent in the calling thread, so in the gateway
on the event loop. What it is on this machine is measured and logged when an encoder is loaded. Loads onnxruntime and
tokenizers then, never on import.
"""

import logging
import math
import re
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from classifier.base import ClassifierError, Contribution, Prompt, Score, Turn, WeightsError
from classifier.encoding.folder import Figures, read_folder
from classifier.encoding.session import Device, Session, foreign, loaded, open_session
from classifier.window import window

WARM_UP = 20  # scores at load
SLOW = 0.005  # seconds: from here on a score holds up other requests noticeably
SEGMENTS = 48  # at most so many parts of a prompt are left out in turn to explain a score
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # scripts that are not told apart by spaces
_WORD = re.compile(f"[{_WIDE}]|[^\\s{_WIDE}]+")

_log = logging.getLogger(__name__)

Texts = tuple[str, str]  # the last user turn, earlier turns


class TokenReader:
    """Prompt -> token ids; safe to share between threads."""

    def __init__(self, tokenizer: bytes, *, longest: int, start: int, separator: int) -> None:
        """Take the text of a `tokenizer.json`.

        Raises:
            WeightsError: it is none, or tokenizers is not installed.
        """
        library = loaded("tokenizers")
        with foreign(WeightsError, "tokenizer.json is no tokenizer"):
            self._tokenizer = library.Tokenizer.from_buffer(tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "[SEP]" in a prompt is text
        self._longest, self._start, self._separator = longest, start, separator

    def ids(self, texts: Texts) -> list[int]:
        """Return start, the last turn, separator, and where there are any, earlier turns and separator.

        What is longer than the longest sequence loses its middle; earlier turns keep a quarter of the room at least.

        Raises:
            ClassifierError: the tokenizer has no token for something.
        """
        with foreign(ClassifierError, "the text cannot be cut into tokens"):
            last, earlier = (self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
        room = self._longest - 2 - bool(earlier)
        kept = min(len(earlier), max(room // 4, room - len(last)))
        row = [self._start, *_ends(last, room - kept), self._separator]
        return [*row, *_ends(earlier, kept), self._separator] if earlier else row


class EncoderClassifier:
    """Scores with one encoder; safe to share between threads."""

    def __init__(self, figures: Figures, reader: TokenReader, session: Session) -> None:
        self.figures = figures
        self._reader, self._session = reader, session
        self._source = f"encoder@{figures.version}"

    @property
    def threshold(self) -> float:
        """Return the threshold that training suggested."""
        return self.figures.threshold

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole; without any text, the share that was too much for Mini.

        Raises:
            ClassifierError: the graph failed or gave no number.
        """
        logit = self._logit(prompt)
        value = self.figures.prior if logit is None else self.figures.calibration.probability(logit)
        return Score(value, self._source)

    def interval(self, prompt: Prompt) -> tuple[float, float]:
        """Return the ends of the 90 % interval of the calibration at this prompt; without any text, 0.0 and 1.0.

        Raises:
            ClassifierError: as `score`.
        """
        logit = self._logit(prompt)
        return (0.0, 1.0) if logit is None else self.figures.calibration.interval(logit)

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the `top` parts of the text, in quotes, without which the logit would change most.

        Costs up to `SEGMENTS` scores, in one run.

        Raises:
            ClassifierError: the graph failed or gave no number.
        """
        texts = texts_of(prompt)
        left_out = _left_out(texts)
        rows = [self._reader.ids(others) for _, others in left_out]
        whole, *without = self._session.logits([self._reader.ids(texts), *rows])
        parts: defaultdict[str, float] = defaultdict(float)
        for (segment, _), logit in zip(left_out, without, strict=True):
            parts[f'"{segment}"'] += self.figures.calibration.slope * (whole - logit)
        strongest = sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0]))[:top]
        return tuple(Contribution(text, weight) for text, weight in strongest if weight)

    def _logit(self, prompt: Prompt) -> float | None:
        texts = texts_of(prompt)
        return self._session.logits([self._reader.ids(texts)])[0] if any(texts) else None

    def measure(self) -> tuple[float, int]:
        """Return the median time of `WARM_UP` scores of a long prompt, in seconds, and the prompt's tokens."""
        numbers = " ".join(map(str, range(1000)))
        long = Prompt((Turn("assistant", numbers), Turn("user", numbers)))
        times = []
        for _ in range(WARM_UP):
            begun = time.perf_counter()
            self.score(long)
            times.append(time.perf_counter() - begun)
        return median(times), len(self._reader.ids(texts_of(long)))


def load(path: Path, *, device: Device = "auto") -> EncoderClassifier:
    """Return a classifier with the encoder of a folder, warmed up; logs what a score costs.

    Raises:
        WeightsError: the folder is missing, damaged or of another format, or the device cannot be had.
    """
    folder = read_folder(path)
    figures = folder.figures
    try:
        reader = TokenReader(
            folder.tokenizer, longest=figures.longest, start=figures.start, separator=figures.separator
        )
        session = open_session(folder.model, device=device, longest=figures.longest, pad=figures.pad)
        classifier = EncoderClassifier(figures, reader, session)
        seconds, tokens = classifier.measure()
    except ClassifierError as error:
        raise WeightsError(f"{path}: {error}") from error
    said = (path, session.device, seconds * 1000, tokens)
    if seconds > SLOW:
        _log.warning(
            "%s: on %s a score takes %.2f ms (median, %d tokens), during which other requests wait; train a smaller "
            "encoder (--layers, --width, --longest), make it --int8, or name a device with a GPU",
            *said,
        )
    else:
        _log.info("%s: on %s a score takes %.2f ms (median, %d tokens)", *said)
    return classifier


def texts_of(prompt: Prompt) -> Texts:
    """Return what is looked at: ends of the last user turn, ends of earlier turns; "" where there is none."""
    seen = window(prompt)
    # A cut may leave half a character, which goes; so do lone surrogates, which no tokenizer takes.
    last, earlier = (
        half.decode("utf-8", "ignore").strip() for half in (seen.text[: seen.split], seen.text[seen.split :])
    )
    return last, earlier


def _left_out(texts: Texts) -> list[tuple[str, Texts]]:
    """Return neighbouring words, few enough of them, each with the texts as they are without it."""
    words = [(side, match.start(), match.end()) for side, text in enumerate(texts) for match in _WORD.finditer(text)]
    together = max(1, math.ceil(len(words) / (SEGMENTS - 1)))  # one more where the sides meet
    found: list[tuple[str, Texts]] = []
    for side, text in enumerate(texts):
        own = [word for word in words if word[0] == side]
        for first in range(0, len(own), together):
            start, end = own[first][1], own[min(first + together, len(own)) - 1][2]
            rest = f"{text[:start]} {text[end:]}".strip()
            found.append((text[start:end], (rest, texts[1]) if side == 0 else (texts[0], rest)))
    return found


def _ends(ids: list[int], size: int) -> list[int]:
    """Return the ids, or `size` of them from both ends."""
    if len(ids) <= size:
        return ids
    tail = size // 2
    return ids[: size - tail] + ids[len(ids) - tail :]
