"""Recipe and texts -> an untrained encoder and its tokenizer.

From scratch: a byte-level BPE, learnt from the texts, and a small BERT. From a base: both as they lie in a local
folder. Either way with a new head: a linear layer on the mean of the last hidden states. Nothing is downloaded, and
weights are read from safetensors only. Needs the extra [train]; serving never loads this file.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from classifier.encoding.recipe import BaseUnusable, Recipe
from classifier.encoding.session import foreign
from classifier.regular_files import read_regular

# Loaded by name: the contract that keeps torch out of what serves requests reads import statements.
torch, tokenizers, transformers = map(import_module, ("torch", "tokenizers", "transformers"))

PAD, START, SEPARATOR = "[PAD]", "[CLS]", "[SEP]"
_SPECIAL = ((START, SEPARATOR), ("<s>", "</s>"))  # of BERT's kind, of RoBERTa's kind
_BASE_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_OFFSET = 2  # positions that RoBERTa's kind keeps for itself
_BATCH = 64  # rows of one run without gradients
_SMALLEST = 300  # tokens: 256 bytes, the special tokens and some pairs

Rows = Sequence[Sequence[int]]  # token ids
Tensor = Any  # torch.Tensor
Body = Any  # transformers.PreTrainedModel
TorchModule: Any = torch.nn.Module


@dataclass(frozen=True, slots=True)
class Untrained:
    """A model with its tokenizer, and the ids of the special tokens."""

    model: "Encoder"
    tokenizer: bytes
    longest: int
    start: int
    separator: int
    pad: int


class Encoder(TorchModule):  # type: ignore[misc]  # loaded by name, and so of no type
    """Token ids and mask, int64 of shape (rows, tokens) -> logits, float of shape (rows,)."""

    def __init__(self, body: Body) -> None:
        """Take a transformer whose output has `last_hidden_state`."""
        super().__init__()
        self.body = body
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(body.config.hidden_size, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits; masked tokens count for nothing."""
        states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        return self.head(self.dropout((states * weights).sum(1) / weights.sum(1))).squeeze(-1)


def untrained(recipe: Recipe, texts: Iterable[str]) -> Untrained:
    """Return what training starts from; the caller has seeded torch.

    Raises:
        BaseUnusable: the base's files are missing or of another kind.
    """
    return _from_scratch(recipe, texts) if recipe.base is None else _from_base(recipe.base, recipe.longest)


def tensors(rows: Rows, *, pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Return what `Encoder` takes: the rows, filled up to equal length, and their mask."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).to(ids.dtype)


def logits_of(model: Encoder, rows: Rows, *, pad: int, device: str = "cpu") -> list[float]:
    """Return the logit of each row; leaves the model in evaluation mode."""
    model.eval()
    logits: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH):
            logits += model(*tensors(rows[start : start + _BATCH], pad=pad, device=device)).tolist()
    return logits


def _from_scratch(recipe: Recipe, texts: Iterable[str]) -> Untrained:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.train_from_iterator(
        texts,
        tokenizers.trainers.BpeTrainer(
            vocab_size=max(recipe.vocabulary, _SMALLEST),
            special_tokens=[PAD, START, SEPARATOR],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.width,
        max_position_embeddings=recipe.longest,
        pad_token_id=tokenizer.token_to_id(PAD),
        attn_implementation="eager",
    )
    return Untrained(
        Encoder(transformers.BertModel(config, add_pooling_layer=False)),
        tokenizer.to_str().encode(),
        recipe.longest,
        start=tokenizer.token_to_id(START),
        separator=tokenizer.token_to_id(SEPARATOR),
        pad=tokenizer.token_to_id(PAD),
    )


def _from_base(base: Path, longest: int) -> Untrained:
    for name in _BASE_FILES:
        if not (base / name).is_file():
            raise BaseUnusable(f"{base}: {name} is missing; a base is a folder with {', '.join(_BASE_FILES)}")
    with foreign(BaseUnusable, f"{base}: cannot be read as an encoder"), _silent():
        content = read_regular(base / "tokenizer.json")
        tokenizer = tokenizers.Tokenizer.from_buffer(content)
        body = transformers.AutoModel.from_pretrained(
            base, local_files_only=True, use_safetensors=True, attn_implementation="eager", dtype=torch.float32
        )
    known = tokenizer.get_vocab(with_added_tokens=True)
    special = next((pair for pair in _SPECIAL if set(pair) <= known.keys()), None)
    if special is None or body.config.is_encoder_decoder:
        raise BaseUnusable(f"{base}: is no encoder with [CLS] and [SEP] or <s> and </s>; choose a BERT-like one")
    room = getattr(body.config, "max_position_embeddings", longest + _OFFSET) - _OFFSET
    start, separator = (known[name] for name in special)
    return Untrained(
        Encoder(body), content, min(longest, room), start=start, separator=separator, pad=body.config.pad_token_id or 0
    )


@contextmanager
def _silent() -> Generator[None, None, None]:
    """Keep transformers from reporting on weights that are not used, such as the base's own head."""
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
