"""Webhooks: addresses that are told when a job or a data set changes, and the log of what they were told."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.deps import AppSettings, ReadSession, WriteSession
from api.pagination import After, Limit, Page, page_of
from api.problems import responses
from api.schemas.webhooks import DeliveryOut, WebhookCreate, WebhookOut, WebhookUpdate, WebhookWithSecret
from api.security import Reader, Writer
from core.catalogue import rows
from core.db.models import Delivery, Webhook
from core.errors import NotFound
from core.webhooks import deliveries, endpoints
from core.webhooks.outbox import announce_test

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.post("", status_code=201, responses=responses(400, 413, 429))
def create(
    body: WebhookCreate, response: Response, caller: Writer, session: WriteSession, settings: AppSettings
) -> WebhookWithSecret:
    """Have an address told of what happens. The secret that signs it is in this answer only."""
    webhook = endpoints.create_webhook(session, caller.owner, **body.model_dump(), settings=settings)
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}"
    return WebhookWithSecret.of(webhook)


@router.get("", responses=responses())
def list_webhooks(
    caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None
) -> Page[WebhookOut]:
    """Newest first."""
    found, more = rows.page(session, Webhook, caller.owner, limit=limit, after=after)
    return page_of([WebhookOut.model_validate(row) for row in found], more)


@router.get("/{webhook_id}", responses=responses(404))
def read_webhook(webhook_id: str, caller: Reader, session: ReadSession) -> WebhookOut:
    """Everything but the secret."""
    return WebhookOut.model_validate(rows.get(session, Webhook, caller.owner, webhook_id))


@router.patch("/{webhook_id}", responses=responses(400, 404, 413))
def change(
    webhook_id: str, body: WebhookUpdate, caller: Writer, session: WriteSession, settings: AppSettings
) -> WebhookOut:
    """Change some of it. While it is disabled, it hears of nothing new, and what is pending waits."""
    webhook = rows.lock(session, Webhook, caller.owner, webhook_id)
    endpoints.change_webhook(session, webhook, body.model_dump(exclude_unset=True), settings)
    return WebhookOut.model_validate(webhook)


@router.delete("/{webhook_id}", status_code=204, responses=responses(404))
def remove(webhook_id: str, caller: Writer, session: WriteSession) -> None:
    """Delete it, with its log and what it was still to be told."""
    session.delete(rows.lock(session, Webhook, caller.owner, webhook_id))


@router.post("/{webhook_id}/rotate-secret", responses=responses(404))
def rotate_secret(webhook_id: str, caller: Writer, session: WriteSession) -> WebhookWithSecret:
    """Give it a new secret, which is in this answer only. The old one signs beside it for a day."""
    webhook = rows.lock(session, Webhook, caller.owner, webhook_id)
    endpoints.rotate_secret(session, webhook)
    return WebhookWithSecret.of(webhook)


@router.post("/{webhook_id}/test", status_code=202, responses=responses(404, 409))
def send_test(webhook_id: str, response: Response, caller: Writer, session: WriteSession) -> DeliveryOut:
    """Send the event `webhook.test`, whatever events it wants."""
    webhook = rows.lock(session, Webhook, caller.owner, webhook_id)
    deliveries.require_enabled(webhook)
    delivery = announce_test(session, webhook)
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}/deliveries/{delivery.id}"
    return DeliveryOut.model_validate(delivery)


@router.get("/{webhook_id}/deliveries", responses=responses(404))
def list_deliveries(
    webhook_id: str,
    caller: Reader,
    session: ReadSession,
    state: Annotated[Literal["pending", "delivered", "failed"] | None, Query()] = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[DeliveryOut]:
    """What it was told, and what came of it, newest first."""
    webhook = rows.get(session, Webhook, caller.owner, webhook_id)
    filters = [Delivery.webhook_id == webhook.id, *([Delivery.state == state] if state else [])]
    found, more = rows.page(session, Delivery, caller.owner, *filters, limit=limit, after=after)
    return page_of([DeliveryOut.model_validate(row) for row in found], more)


@router.get("/{webhook_id}/deliveries/{delivery_id}", responses=responses(404))
def read_delivery(webhook_id: str, delivery_id: str, caller: Reader, session: ReadSession) -> DeliveryOut:
    """One entry of the log."""
    return DeliveryOut.model_validate(_delivery(session, caller.owner, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202, responses=responses(404, 409)
)
def redeliver(webhook_id: str, delivery_id: str, caller: Writer, session: WriteSession) -> DeliveryOut:
    """Send it again now, under the id that it has, whatever came of it before."""
    delivery = _delivery(session, caller.owner, webhook_id, delivery_id)
    webhook = rows.get(session, Webhook, caller.owner, webhook_id)
    return DeliveryOut.model_validate(deliveries.redeliver(session, webhook, delivery))


def _delivery(session: Session, owner: str, webhook_id: str, delivery_id: str) -> Delivery:
    webhook = rows.get(session, Webhook, owner, webhook_id)
    delivery = rows.get(session, Delivery, owner, delivery_id)
    if delivery.webhook_id != webhook.id:
        raise NotFound(f"no delivery {delivery_id[:80]!r} of {webhook.id}")
    return delivery
