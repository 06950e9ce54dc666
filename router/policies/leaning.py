"""A threshold and how a request leans -> the threshold that it is decided by. Pure."""


def leant(threshold: float, lean: float) -> float:
    """Return the threshold, moved towards 0.0, where Large answers all, or towards 1.0, where Mini does.

    Args:
        threshold: 0.0 to 1.0.
        lean: share of the way that it is moved, -1.0 to 1.0; below zero towards Large.
    """
    return threshold + lean * (1.0 - threshold if lean > 0 else threshold)
