"""What waits for a worker that is not there."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from core.settings import Settings
from core.vocabulary import QUEUES
from core.work.workers import queues_served


def missing_queues(session: Session, settings: Settings, needed: Iterable[str]) -> list[str]:
    """Those of `needed` that no worker serves, as far as can be seen: what waits in them goes on waiting.

    All queues that there are, if there is no worker at all.
    """
    asked = set(needed)
    if not asked:
        return []
    served = queues_served(session, settings.lease_seconds)
    return sorted(asked - served) if served else list(QUEUES)
