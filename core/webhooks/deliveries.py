"""Deliveries: which are due, who sends them, and what comes of it.

A delivery is claimed by a guarded UPDATE that counts its attempts; the outcome is written only if no newer
attempt has begun. A sender that dies leaves a claim that lapses, and the delivery is due again.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.db.models import Delivery, Webhook
from core.db.types import db_now
from core.errors import Conflict

#: Between the attempts, as the Standard Webhooks convention proposes: ten attempts in three days.
RETRY_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: Up to this share is added by chance: what failed together is not tried again together.
_JITTER = 0.2
_MAX_RETRY_AFTER_SECONDS = 86_400.0
#: A webhook that nothing was delivered to for so long is disabled.
FAILING_SECONDS: Final = 5 * 86_400
#: Longer than an attempt and the writing of its outcome can take (worker/posting.py).
CLAIM_SECONDS: Final = 60

#: At once, of one sender. A target that does not answer holds up its own deliveries alone.
AT_ONCE: Final = 32
AT_ONCE_OF_OWNER: Final = 8
AT_ONCE_OF_WEBHOOK: Final = 4
_MOST_CANDIDATES = 1000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A delivery that is due."""

    delivery_id: str
    webhook_id: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Claimed(Candidate):
    """A delivery in this sender's hands, with all that its attempt needs."""

    attempt: int
    url: str
    body: str
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an attempt came to. `error` is None if it was delivered."""

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None


def due(session: Session) -> list[Candidate]:
    """Deliveries to be sent now, the most overdue first, but of each webhook only the first few."""
    place = func.row_number().over(
        partition_by=Delivery.webhook_id, order_by=(Delivery.next_attempt_at, Delivery.id)
    )
    ranked = (
        select(
            Delivery.id, Delivery.webhook_id, Delivery.owner, Delivery.next_attempt_at, place.label("place")
        )
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Webhook.enabled, *_free())
        .subquery()
    )
    statement = (
        select(ranked.c.id, ranked.c.webhook_id, ranked.c.owner)
        .where(ranked.c.place <= AT_ONCE_OF_WEBHOOK)
        .order_by(ranked.c.place, ranked.c.next_attempt_at, ranked.c.id)
        .limit(_MOST_CANDIDATES)
    )
    return [
        Candidate(delivery_id=row.id, webhook_id=row.webhook_id, owner=row.owner)
        for row in session.execute(statement)
    ]


def choose(candidates: Iterable[Candidate], in_flight: Iterable[Candidate]) -> list[str]:
    """Ids of those that may be sent beside what is being sent already."""
    flying = list(in_flight)
    webhooks = Counter(one.webhook_id for one in flying)
    owners = Counter(one.owner for one in flying)
    chosen: list[str] = []
    for one in candidates:
        if len(flying) + len(chosen) >= AT_ONCE:
            break
        if webhooks[one.webhook_id] < AT_ONCE_OF_WEBHOOK and owners[one.owner] < AT_ONCE_OF_OWNER:
            webhooks[one.webhook_id] += 1
            owners[one.owner] += 1
            chosen.append(one.delivery_id)
    return chosen


def claim(session: Session, delivery_ids: Iterable[str]) -> list[Claimed]:
    """Take those of the deliveries that nobody else has taken meanwhile."""
    # Never waits for another sender, so that two that take several each cannot wait for one another.
    unlocked = (
        select(Delivery.id)
        .where(Delivery.id.in_(list(delivery_ids)), *_free())
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Delivery)
        .where(Delivery.id.in_(unlocked), *_free())
        .values(attempts=Delivery.attempts + 1, claimed_until=db_now(CLAIM_SECONDS), last_attempt_at=db_now())
        .returning(Delivery.id, Delivery.webhook_id, Delivery.owner, Delivery.attempts, Delivery.body)
        .execution_options(synchronize_session=False)
    )
    taken = session.execute(statement).all()
    old = (Webhook.old_secret_until > db_now()).label("old_is_valid")
    found = select(Webhook.id, Webhook.url, Webhook.secret, Webhook.old_secret, old).where(
        Webhook.id.in_({row.webhook_id for row in taken})
    )
    webhooks = {row.id: row for row in session.execute(found)}
    return [
        Claimed(
            delivery_id=row.id, webhook_id=row.webhook_id, owner=row.owner, attempt=row.attempts,
            body=row.body, url=webhook.url,
            secrets=(webhook.secret, webhook.old_secret) if webhook.old_is_valid else (webhook.secret,),
        )
        for row in taken
        if (webhook := webhooks.get(row.webhook_id))
    ]  # fmt: skip


def settle(session: Session, claimed: Claimed, outcome: Outcome) -> bool:
    """Write what an attempt came to, unless a newer attempt has begun. Returns whether it did."""
    # The webhook first, as its deletion does, or the two could wait for one another.
    webhook = session.scalar(
        select(Webhook).where(Webhook.id == claimed.webhook_id).with_for_update(key_share=True)
    )
    if webhook is None:
        return False
    values: dict[str, Any] = {"last_status": outcome.status, "last_error": outcome.error}
    if outcome.error is None:
        values |= {"state": "delivered", "delivered_at": db_now(), "next_attempt_at": None}
    else:
        before = session.scalar(select(Delivery.attempts_before).where(Delivery.id == claimed.delivery_id))
        wait = None if outcome.status == 410 else _wait(claimed.attempt - (before or 0), outcome.retry_after)
        values |= {"state": "failed"} if wait is None else {}
        values |= {"next_attempt_at": None if wait is None else db_now(wait)}
    statement = (
        update(Delivery)
        .where(
            Delivery.id == claimed.delivery_id,
            Delivery.state == "pending",
            Delivery.attempts == claimed.attempt,
        )
        .values(claimed_until=None, **values)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    if session.scalar(statement) is None:
        return False
    _judge(session, webhook, outcome)
    return True


def _judge(session: Session, webhook: Webhook, outcome: Outcome) -> None:
    """Note whether the webhook works, and disable one that is gone or has failed for too long."""
    change = update(Webhook).where(Webhook.id == webhook.id).execution_options(synchronize_session="fetch")
    if outcome.error is None:
        if webhook.failing_since is not None:
            session.execute(change.values(failing_since=None))
        return
    if outcome.status == 410:
        reason = "its target answered 410 Gone: it wants to hear no more"
        session.execute(change.where(Webhook.enabled).values(enabled=False, disabled_reason=reason))
        return
    if webhook.failing_since is None:
        session.execute(change.values(failing_since=db_now()))
        return
    days = FAILING_SECONDS // 86_400
    reason = f"nothing could be delivered for {days} days; the last attempt: {outcome.error}"
    failed_for_long = Webhook.failing_since < db_now(-FAILING_SECONDS)
    session.execute(
        change.where(Webhook.enabled, failed_for_long).values(enabled=False, disabled_reason=reason)
    )


def redeliver(session: Session, webhook: Webhook, delivery: Delivery) -> Delivery:
    """Send it again now, with the retries of a new one and the id that it has.

    Raises:
        Conflict: it is being sent, or its webhook is disabled.
    """
    require_enabled(webhook)
    statement = (
        update(Delivery)
        .where(Delivery.id == delivery.id, _unclaimed())
        .values(
            state="pending", next_attempt_at=db_now(), attempts_before=Delivery.attempts,
            claimed_until=None, delivered_at=None,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    if session.scalar(statement) is None:
        raise Conflict(f"{delivery.id} is being sent at this moment: wait until that attempt ends")
    session.refresh(delivery)
    return delivery


def require_enabled(webhook: Webhook) -> None:
    """Raises Conflict: nothing is sent to a webhook that is disabled."""
    if not webhook.enabled:
        raise Conflict(f"{webhook.id} is disabled: enable it first", code="webhook_disabled")


def forget_old(session: Session, seconds: float) -> int:
    """Delete what is older than that from the log, unless it is still to be sent. Returns how many."""
    old = (Delivery.created_at < db_now(-seconds), Delivery.state != "pending")
    ids = session.scalars(
        delete(Delivery).where(*old).returning(Delivery.id).execution_options(synchronize_session=False)
    )
    return len(ids.all())


def _free() -> tuple[ColumnElement[bool], ...]:
    return (Delivery.state == "pending", Delivery.next_attempt_at <= db_now(), _unclaimed())


def _unclaimed() -> ColumnElement[bool]:
    return or_(Delivery.claimed_until.is_(None), Delivery.claimed_until < db_now())


def _wait(attempts: int, retry_after: float | None) -> float | None:
    """Seconds until the next attempt after so many; None if there is to be none."""
    if attempts > len(RETRY_SECONDS):
        return None
    wait = RETRY_SECONDS[attempts - 1] * random.uniform(1, 1 + _JITTER)  # noqa: S311
    return max(wait, min(retry_after or 0.0, _MAX_RETRY_AFTER_SECONDS))
