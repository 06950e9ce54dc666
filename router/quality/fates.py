"""Configuration -> what says what became of a conversation, each tenant's own window heeded."""

from collections.abc import Callable

from router.config.models import Config
from router.ledger.conversations import Conversation
from router.quality.resolution import HOUR, Fate, fate_of


def fates_of(config: Config, complex_from: float, now: float) -> Callable[[Conversation], Fate]:
    """Return it.

    Args:
        complex_from: the first score from which on a conversation is complex.
        now: seconds since 1970.
    """
    usual = config.quality.resolution_hours * HOUR
    own = {
        name: tenant.resolution_hours * HOUR
        for name, tenant in config.tenants.items()
        if tenant.resolution_hours is not None
    }

    def fate(conversation: Conversation) -> Fate:
        window = own.get(conversation.tenant, usual)
        return fate_of(conversation, now=now, window=window, complex_from=complex_from)

    return fate
