"""A store for prefix KV that lives in this process, and can be slow, away or foul."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class KvInMemory:
    """What was put, by key.

    Attributes:
        delay: seconds that each read takes; where it is longer than the reader waits, all is a miss.
    """

    values: dict[bytes, bytes] = field(default_factory=dict)
    delay: float = 0.0
    reads: int = 0

    def sizes(self, keys: Sequence[bytes], *, within: float) -> list[int | None]:
        found = self.get(keys, within=within)
        return [None if value is None else len(value) for value in found]

    def get(self, keys: Sequence[bytes], *, within: float) -> list[bytes | None]:
        self.reads += 1
        time.sleep(min(self.delay, within))
        return [None if self.delay > within else self.values.get(key) for key in keys]

    def put(self, values: Sequence[tuple[bytes, bytes]]) -> None:
        self.values.update(values)

    def gauges(self) -> dict[str, float]:
        return {"kv_values": float(len(self.values))}

    def close(self) -> None:
        self.values.clear()
