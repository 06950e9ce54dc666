"""Sets of a verifier's weights -> their file and a card that says what they are.

The card is written from the weights and from what fitting measured; nothing in it is typed in by hand.
"""

from collections.abc import Sequence
from pathlib import Path

from classifier.verify import GENERAL, VerifierWeights, dump
from classifier.verifying.priors import PRIORS
from classifier.verifying.replies import SIGNS


def write(sets: Sequence[VerifierWeights], path: Path) -> Path:
    """Write the sets to `path`, the card beside it, and return the card's path."""
    card = path.with_suffix(".md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(sets), encoding="utf-8")
    card.write_text("\n".join([_head(path), *map(_of_set, sets)]), encoding="utf-8")
    return card


def _head(path: Path) -> str:
    return f"""# {path.stem}: verification of Mini's reply

Gives P(the first reply is wrong) from the prompt's score and one or several replies of Mini. Each set holds a weight
in logits for each of the {len(SIGNS)} signs that plain rules find in the replies, in English and Chinese, and an
intercept. No text is in the weights.
"""


def _of_set(weights: VerifierWeights) -> str:
    return _general(weights) if weights.name == GENERAL else _fitted(weights)


def _general(weights: VerifierWeights) -> str:
    rows = "\n".join(
        f"| {sign} | {value:+.2f} | {PRIORS[sign].why} |" for sign, value in zip(SIGNS, weights.values, strict=True)
    )
    return f"""## {weights.name} {weights.version}

For any task; `./tandem score --file` uses it. **It was fitted on nothing and is calibrated on no task**: the weights
are judgements made beforehand. Its rank is what counts; its probability is a guess. Whoever has labelled replies
should fit a set of their own: `./tandem train-verifier --data pairs.jsonl --out own.json`.

Agreement on the extracted answer is kept apart: how many of the other replies answer otherwise than the first decides,
then how many different answers those give. All other signs together move a reply less than half of the way to the next
such pattern. With two replies there are two patterns, 3 logits apart. With three replies there are four, from likely
right to likely wrong: all agree; one differs; two differ and agree with each other; all three differ. That the last
two stand in this order is the least certain of these judgements. A reply without an answer is not compared.

| sign | logits | why |
|---|---|---|
{rows}

The intercept is {weights.intercept:+.2f}. That agreement of samples tells right from wrong: Wang et al. 2023,
"Self-Consistency Improves Chain of Thought Reasoning in Language Models". That quantiles of token log-probabilities do
better than their sum: Gupta et al. 2024, "Language Model Cascades: Token-level uncertainty and beyond".
"""


def _fitted(weights: VerifierWeights) -> str:
    report = weights.fitted_on
    by_replies = "\n".join(
        f"| AUROC with {count} {'reply' if count == '1' else 'replies'} | {auroc:.4f} |"
        for count, auroc in report["auroc_by_replies"].items()
    )
    rows = "\n".join(f"| {sign} | {value:+.3f} |" for sign, value in zip(SIGNS, weights.values, strict=True))
    return f"""## {weights.name} {weights.version}

Logistic regression on {report["cases"]} cases of {report["groups"]} groups; in {report["wrong"]} the first reply is
wrong. Seed {report["seed"]}, inverse penalty strength {report["penalty"]:g}, on signs scaled to unit variance.

{report["drawn"].strip()}

Out of fold, 5 folds by group; the penalty was chosen on the same folds:

| measure | value |
|---|---|
| AUROC for "the first reply is wrong" | {report["auroc"]:.4f} |
{by_replies}
| AUROC of the prompt's score alone | {report["auroc_of_score"]:.4f} |
| Brier score | {report["brier"]:.4f} |
| ECE, 10 bins of equal width | {report["ece"]:.4f} |

| sign | logits |
|---|---|
{rows}

The intercept is {weights.intercept:+.3f}. Fitted together, signs that say the same share their weight, so a single one
may even turn its sign. The measures hold for replies like these, from this Mini, and promise nothing about others.
"""
