"""Webhooks: made, changed, given new secrets."""

import base64
import secrets
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.locks import serialise
from core.db.models import Webhook
from core.db.types import db_now
from core.errors import QuotaExceeded
from core.ids import new_id
from core.settings import Settings
from core.targets import AllowedHosts, parse_target

_SECRET_BYTES: Final = 32
#: Deliveries are signed with the secret before the last rotation, too, so that receivers can change over.
OLD_SECRET_SECONDS: Final = 86_400


def create_webhook(
    session: Session,
    owner: str,
    *,
    url: str,
    events: list[str] | None,
    description: str | None,
    enabled: bool,
    settings: Settings,
) -> Webhook:
    """A webhook that hears of `events`, or, if None, of all, those of later versions too.

    Raises:
        InvalidRequest: its address is refused.
        QuotaExceeded: the owner has as many as may be had.
    """
    target = parse_target(url, AllowedHosts.of(settings.webhook_allowed_hosts))
    serialise(session, f"webhooks of {owner}")
    limit = settings.owner_webhooks
    count = session.scalar(select(func.count()).select_from(Webhook).where(Webhook.owner == owner)) or 0
    if count >= limit:
        raise QuotaExceeded(
            f"there are {count} webhooks, the limit is {limit}: delete one that is no longer needed",
            code="too_many_webhooks",
            limit=limit,
            value=count,
        )
    webhook = Webhook(
        id=new_id("wh"), owner=owner, url=target.url, events=events, description=description,
        enabled=enabled, secret=_new_secret(),
    )  # fmt: skip
    session.add(webhook)
    session.flush()
    session.refresh(webhook)
    return webhook


def change_webhook(session: Session, webhook: Webhook, changes: dict[str, Any], settings: Settings) -> None:
    """Set any of `url`, `events`, `description`, `enabled`.

    Raises:
        InvalidRequest: the new address is refused.
    """
    if "url" in changes:
        allowed = AllowedHosts.of(settings.webhook_allowed_hosts)
        changes = {**changes, "url": parse_target(changes["url"], allowed).url}
    for name, value in changes.items():
        setattr(webhook, name, value)
    if "url" in changes or changes.get("enabled"):
        webhook.failing_since = None
    if "enabled" in changes:
        webhook.disabled_reason = None
    session.flush()


def rotate_secret(session: Session, webhook: Webhook) -> None:
    """Give it a new secret; the old one signs beside it for a day."""
    webhook.old_secret, webhook.old_secret_until = webhook.secret, db_now(OLD_SECRET_SECONDS)
    webhook.secret = _new_secret()
    session.flush()
    session.refresh(webhook)


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
