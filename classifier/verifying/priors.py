"""What each sign of a wrong reply is worth before anything was seen -> the general set of weights.

Judgements, not fits: their signs and their order are argued, their sizes are round numbers. Knows no task.
"""

from dataclasses import dataclass
from typing import Final

from classifier.verify import GENERAL, VerifierWeights
from classifier.verifying.replies import SIGNS

VERSION: Final = "1"
START: Final = -3.0
"""Logits before any sign: two replies that agree, of usual length and wording, are then wrong about once in ten."""


@dataclass(frozen=True, slots=True)
class Prior:
    """One sign's worth.

    Attributes:
        logits: for a value of 1.0; positive speaks for wrong.
        why: in a few words, for the card.
    """

    logits: float
    why: str


PRIORS: Final = {
    "dissent": Prior(3.0, "share of the other replies that answer otherwise; doubt shows as variety"),
    "scatter": Prior(2.5, "those that answer otherwise differ among themselves, too; counts below one more of them"),
    "nothing to compare": Prior(1.5, "half way between agreement and dissent"),
    "not ended": Prior(0.0, "a stream is judged while it comes; signs that need its end are left out then"),
    "no answer": Prior(1.6, "the reply was to give one and does not"),
    "others without answer": Prior(0.5, "the question is hard to finish"),
    "other words": Prior(0.8, "another way of saying it, where answers cannot be told"),
    "other numbers": Prior(0.8, "share of the reply's numbers that others never write: other steps to the same end"),
    "answer nowhere in the others": Prior(0.6, "they do not even pass by it"),
    "false arithmetic": Prior(2.0, "1 - 1/2 to the power of false equations; each is a mistake for certain"),
    "dissent of a flawed reply": Prior(-0.8, "who reckons falsely says less against the first"),
    "cut short": Prior(1.4, "ran into its limit; half for an end in the middle of a sentence"),
    "empty": Prior(3.0, "nothing was said"),
    "refusal": Prior(1.2, "help was refused"),
    "hedging": Prior(0.35, "natural logarithm of 1 + words of doubt; models doubt aloud without need, too"),
    "repetition": Prior(1.0, "share of repeated runs of words: a loop"),
    "length": Prior(0.35, "logarithm of the length over 600 characters: more steps, more places to go wrong"),
    "unlike the others in length": Prior(0.15, "logarithm of the ratio, either way"),
    "numbers in the reply": Prior(0.35, "logarithm of their count, a third of it: more steps again"),
    "odd number": Prior(0.6, "negative or with many decimals, as results of slips are"),
    "answer not marked": Prior(0.15, "taken from the end of the reply: it may be another number"),
    "lowest log-probability": Prior(0.05, "over a typical one, negated, in nats; one rare word says little"),
    "log-probability, 5 %": Prior(0.15, "quantiles say how often the model hesitated, whatever the length"),
    "log-probability, 10 %": Prior(0.2, "likewise"),
    "log-probability, 25 %": Prior(0.3, "likewise"),
    "mean log-probability": Prior(0.6, "likewise"),
    "prompt's score": Prior(0.25, "its logit, up to 4 either way: settles what the replies leave open"),
}
"""For each sign; all from the third on only order replies with the same pattern of agreement."""


def general_weights() -> VerifierWeights:
    """Return the set for any task."""
    values = tuple(PRIORS[sign].logits for sign in SIGNS)
    return VerifierWeights(GENERAL, VERSION, values, START, apart=True, fitted_on={})
