"""Webhooks, and what is to be or was sent to each."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Owned, one_of
from core.vocabulary import DELIVERY_STATES


class Webhook(Owned, Base):
    """Where an owner is told of what happens (core/webhooks).

    `events` is null for all of them. The secrets are kept as they are: a signature cannot be made of a hash.
    `failing_since` is the first failure after the last delivery; `disabled_reason` is null unless the
    service itself disabled it.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "owner", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str | None] = mapped_column(String(200))
    events: Mapped[list[str] | None]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    failing_since: Mapped[datetime | None]
    secret: Mapped[str] = mapped_column(String(80))
    old_secret: Mapped[str | None] = mapped_column(String(80))
    old_secret_until: Mapped[datetime | None]


class Delivery(Owned, Base):
    """One thing that a webhook is told, however many attempts it takes: a row of the outbox and the log.

    `body` is what is signed and sent, byte for byte. `next_attempt_at` is null once nothing is to be sent;
    while `claimed_until` is ahead, a sender has it. The retries start anew after `attempts_before` attempts.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("state", DELIVERY_STATES),
        Index(None, "webhook_id", "id"),
        Index(None, "state", "next_attempt_at", "webhook_id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    attempts_before: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[datetime | None]
