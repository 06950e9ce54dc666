"""P-values of several questions -> p-values that may be read side by side.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Mapping


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return adjusted p-values: those below alpha hold all together with an error of alpha.

    They hold at every look where the given ones do.
    """
    largest, adjusted = 0.0, dict[str, float]()
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
