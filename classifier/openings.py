"""How prompts begin -> marks of the beginnings that many share.

Prompts that one program makes begin alike, and a word in them says something else than in others. So words are weighed
anew within each common beginning. A mark is enough to tell a beginning again and too little to tell what it was.
Knows nothing of weights or of fitting.
"""

from collections import Counter
from collections.abc import Iterable
from zlib import crc32

BYTES = 32  # of the last user turn's beginning
OFTEN = 20  # prompts that begin alike, from which their words are weighed anew
MOST = 16  # beginnings; each costs 128 KiB of memory


def mark_of(text: bytes) -> int:
    """Return the mark of a window's beginning (`classifier.features.Features.text`), which a space precedes."""
    return crc32(text[1 : BYTES + 1])


def common(marks: Iterable[int]) -> tuple[int, ...]:
    """Return the marks that are met often, the most frequent ones where there are too many, in ascending order."""
    counts = Counter(marks)
    found = sorted((mark for mark, count in counts.items() if count >= OFTEN), key=lambda mark: (-counts[mark], mark))
    return tuple(sorted(found[:MOST]))
