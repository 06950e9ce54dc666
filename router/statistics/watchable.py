"""What can be watched at all: how small a drop, how high an accuracy, how few values. Numbers alone."""

from typing import Final

DROP: Final = 0.05
"""Five percentage points, absolute."""

FALSE_ALARM_EVERY: Final = 10_000.0
"""Answers between two false alarms, on average."""

HIGHEST_ACCURACY: Final = 0.9999  # beyond, one wrong answer in a window is all the news there is
LOWEST_AFTER: Final = 0.001  # accuracy after the drop
SMALLEST_DROP: Final = 0.001

FEWEST: Final = 100  # values of a sample; chi-square is no good guide for fewer in ten bins
