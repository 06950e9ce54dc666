"""Text of `--since` or `--until` -> seconds since 1970."""

from datetime import datetime

from router.commands.errors import BadUsage


def seconds_of(since: str | None, *, option: str = "--since") -> float:
    """Return when it is, minus infinity where nothing is said; a time without a zone is local time.

    Raises:
        BadUsage: it is no time in ISO 8601.
    """
    if since is None:
        return float("-inf")
    try:
        return datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadUsage(f"{since!r} is no time", where=option, advice="write it like 2026-11-01T08:00Z") from error
