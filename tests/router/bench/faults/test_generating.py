"""Requests that are made by chance, and those that are written down.

router/bench/faults/generating.py, router/bench/faults/vectors.py
"""

import random
from collections import Counter

from router.bench.faults.generating import damaged, request
from router.bench.faults.vectors import VECTORS


def test_a_number_of_a_seed_gives_the_same_bytes_again() -> None:
    assert [request(1, number) for number in range(200)] == [request(1, number) for number in range(200)]
    assert request(1, 5) != request(2, 5)


def test_most_requests_differ_and_some_are_whole_and_some_are_not() -> None:
    made = [request(3, number) for number in range(1_000)]
    assert len(set(made)) > 950
    heads = [sent.partition(b"\r\n\r\n") for sent in made]
    whole = sum(b"content-length: %d\r\n" % len(body) in head + b"\r\n" for head, _, body in heads)
    assert 200 < whole < 950


def test_damage_changes_few_bytes() -> None:
    rng = random.Random(1)
    data = b"abcdefghijklmnopqrstuvwxyz" * 10
    changed = [damaged(data, rng) for _ in range(100)]
    assert sum(each != data for each in changed) > 80
    assert all(abs(len(each) - len(data)) < 600 for each in changed)


def test_each_row_of_the_table_has_vectors_with_names_of_their_own() -> None:
    rows = Counter(vector.row for vector in VECTORS)
    assert len(rows) == 17
    assert len({(vector.row, vector.name) for vector in VECTORS}) == len(VECTORS) > 190
    assert all(b"secret" in vector.bytes_for("secret") for vector in VECTORS if b"{key}" in vector.sent)
