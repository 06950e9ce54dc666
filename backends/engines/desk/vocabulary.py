"""Question texts -> the byte-level BPE that both desk models share.

Digits stay single, so that a number is copied digit by digit. The split of a text into words is the
one that llama.cpp calls "smollm": change one and the other must follow. Needs the extra `[train]`.
"""

import random
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from backends.engines.desk.questions import Difficulty, is_held_out, sample

SIZE = 1024
PRE_TOKENIZER = "smollm"
UNKNOWN, BEGIN, END, ASK, ANSWER = SPECIAL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")

CHAT_TEMPLATE = (
    "{{ '<s>' }}"
    "{% for message in messages %}"
    "{% if message['role'] in ('system', 'developer') %}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + (message['content'] or '') | trim + '</s>' }}"
    "{% else %}{{ '[INST] ' + (message['content'] or '') | trim + ' [/INST]' }}{% endif %}"
    "{% endfor %}"
)
"""Mistral's turn format. The models were never shown a system prompt, so the template leaves it out."""


def train(*, seed: int = 0, texts: int = 40_000) -> Tokenizer:
    """Return a tokenizer trained on questions and answers of the training part."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(random.Random(f"vocabulary/{seed}"), texts), trainer)
    return tokenizer


def prompt_of(text: str) -> str:
    """Return a single question in the turn format, ready to be answered."""
    return f"{BEGIN}{ASK} {text} {ANSWER}"


def _corpus(rng: random.Random, texts: int) -> Iterator[str]:
    while texts:
        question = sample(rng, rng.choice(tuple(Difficulty)))
        if not is_held_out(question.text):
            texts -= 1
            yield f" {question.text} "
            yield f" {question.answer}"
