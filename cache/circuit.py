"""Calls that worked or failed -> whether the next may be tried.

Pure: time is passed in. An open circuit is closed by whoever probes for all, so that no caller pays for finding out.
"""

from typing import Final

_PAUSE_FIRST: Final = 0.1  # seconds until the first probe
_PAUSE_LONGEST: Final = 5.0


class Circuit:
    """Opens at the first failure; each failure soon after the last doubles the pause before the next probe.

    Attributes:
        cause: why it is open; "" while it is closed.
    """

    def __init__(self) -> None:
        self.cause = ""
        self._pause = 0.0
        self._failed_at = 0.0

    def __repr__(self) -> str:
        return f"<Circuit {f'open: {self.cause}' if self.cause else 'closed'}>"

    @property
    def is_open(self) -> bool:
        """Tell whether nothing shall be tried."""
        return bool(self.cause)

    def fail(self, cause: str, now: float) -> bool:
        """Open, and tell whether it was closed.

        A server that answers probes and then fails is asked ever more seldom, like one that is silent.
        """
        was_closed = not self.cause
        calm = now - self._failed_at > 2 * _PAUSE_LONGEST
        self._pause = _PAUSE_FIRST if calm or not self._pause else min(2 * self._pause, _PAUSE_LONGEST)
        self._failed_at = now
        self.cause = cause
        return was_closed

    def until_probe(self, now: float) -> float:
        """Return the seconds after which a probe is due; 0.0 at once."""
        return max(0.0, self._failed_at + self._pause - now)

    def close(self) -> bool:
        """Let calls through again, and tell whether it was open."""
        was_open = bool(self.cause)
        self.cause = ""
        return was_open
