"""Seed -> a day at the desk: questions in the order in which they come, some of them asked again.

All questions are held out from training. A repeat stands some places after its first asking, as when
another customer asks the same.
"""

import random

from backends.engines.desk.questions import Difficulty, Question, unseen

REPEATS = 0.25  # of all requests
COMPLEX = 0.25  # of the distinct questions
GAP = 16  # places at least between a question and its repeat


def workload(requests: int, *, seed: int) -> tuple[Question, ...]:
    """Return `requests` questions, the same for the same seed."""
    rng = random.Random(f"workload/{seed}")
    distinct = requests - round(requests * REPEATS)
    complex_ones = round(distinct * COMPLEX)
    questions = [
        *unseen(f"workload/{seed}", Difficulty.SIMPLE, distinct - complex_ones),
        *unseen(f"workload/{seed}", Difficulty.COMPLEX, complex_ones),
    ]
    rng.shuffle(questions)
    gap = min(GAP, distinct // 2)
    for question in rng.choices(questions[: distinct - gap], k=requests - distinct):
        questions.insert(rng.randint(questions.index(question) + gap, len(questions)), question)
    return tuple(questions)
