"""Webhooks and their deliveries, as rows."""

from typing import Any

from sqlalchemy import select, update

from core.db.models import Delivery, Job, Webhook
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings
from core.webhooks.deliveries import Claimed, choose, claim, due
from core.webhooks.endpoints import create_webhook
from core.work.transitions import move
from tests.support.leased import OWNER, add_job

#: Receivers of tests listen here.
SETTINGS = Settings(webhook_allowed_hosts=["127.0.0.0/8"])


def add_webhook(
    database: Database, url: str = "https://example.com/hook", *, owner: str = OWNER, **values: Any
) -> Webhook:
    chosen: dict[str, Any] = {"events": None, "description": None, "enabled": True, "settings": SETTINGS}
    with database.writing() as session:
        return create_webhook(session, owner, url=url, **(chosen | values))


def cancelled_job(database: Database, *, owner: str = OWNER) -> str:
    """A job of which webhooks hear one thing: that it was cancelled."""
    with database.writing() as session:
        job = add_job(session, owner=owner)
        assert move(session, Job, job.id, "cancelled")
        return job.id


def webhook_of(database: Database, webhook_id: str) -> Webhook:
    with database.reading() as session:
        return session.get_one(Webhook, webhook_id)


def deliveries_of(database: Database, webhook_id: str) -> list[Delivery]:
    """Oldest first."""
    with database.reading() as session:
        found = select(Delivery).where(Delivery.webhook_id == webhook_id).order_by(Delivery.id)
        return list(session.scalars(found))


def claim_due(database: Database) -> list[Claimed]:
    """What a sender takes when it looks."""
    with database.reading() as session:
        chosen = choose(due(session), [])
    with database.writing() as session:
        return claim(session, chosen)


def set_delivery(database: Database, delivery_id: str, **values: Any) -> None:
    with database.writing() as session:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def make_due(database: Database, delivery_id: str) -> None:
    """As if the time until its next attempt, or of its claim, had passed."""
    pending = {"next_attempt_at": db_now(-1), "claimed_until": None}
    set_delivery(database, delivery_id, **pending)
