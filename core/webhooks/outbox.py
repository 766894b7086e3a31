"""The outbox: what a webhook is to be told is written in the transaction of the change itself.

So nothing is told that did not happen, and nothing that happened is forgotten. Sent by worker/webhooks.py.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Base, CondensedSet, Dataset, Delivery, Event, Job, Webhook
from core.db.types import db_now
from core.ids import new_id
from core.webhooks.events import EVENT_TYPES, TEST_EVENT

_NOUNS: Final[Mapping[type[Base], str]] = {Job: "job", Dataset: "dataset", CondensedSet: "condensed_set"}
_MAX_DETAIL = 500


def announce(session: Session, model: type[Base], event: Event) -> None:
    """Put an event into the outbox of every webhook of its owner that wants to hear of it."""
    event_type = f"{_NOUNS.get(model)}.{event.type}"
    if event_type not in EVENT_TYPES:
        return
    # The locks keep a webhook from being deleted before its delivery is there, which would fail the change.
    statement = (
        select(Webhook.id, Webhook.events)
        .where(Webhook.owner == event.owner, Webhook.enabled)
        .order_by(Webhook.id)
        .with_for_update(read=True, key_share=True)
    )
    wanting = [row.id for row in session.execute(statement) if row.events is None or event_type in row.events]
    if not wanting:
        return
    if model is Job:
        data = _of_job(session, event)
    elif model is Dataset:
        data = _of_set(session, Dataset, "/v1/datasets", event)
    else:
        data = _of_set(session, CondensedSet, "/v1/condensed-sets", event)
    for webhook_id in wanting:
        session.add(_delivery(webhook_id, event.owner, event_type, event.created_at, data))
    session.flush()


def announce_test(session: Session, webhook: Webhook) -> Delivery:
    """A delivery that says nothing but that deliveries arrive."""
    data = {"id": webhook.id, "links": {"self": f"/v1/webhooks/{webhook.id}"}}
    delivery = _delivery(webhook.id, webhook.owner, TEST_EVENT, datetime.now(UTC), data)
    session.add(delivery)
    session.flush()
    session.refresh(delivery)
    return delivery


def _delivery(
    webhook_id: str, owner: str, event_type: str, happened_at: datetime, data: dict[str, Any]
) -> Delivery:
    payload = {"type": event_type, "timestamp": happened_at.isoformat().replace("+00:00", "Z"), "data": data}
    return Delivery(
        id=new_id("dlv"),
        owner=owner,
        webhook_id=webhook_id,
        event_type=event_type,
        body=json.dumps(payload, separators=(",", ":")),
        state="pending",
        next_attempt_at=db_now(),
    )


def _of_job(session: Session, event: Event) -> dict[str, Any]:
    columns = select(Job.kind, Job.name, Job.phase, Job.dataset_id, Job.problem).where(
        Job.id == event.subject_id
    )
    job = session.execute(columns).one()
    path = f"/v1/jobs/{event.subject_id}"
    links = {"self": path, "events": f"{path}/events"}
    if event.type == "succeeded":
        links["artifacts"] = f"{path}/artifacts"
    facts = {"kind": job.kind, "name": job.name, "phase": job.phase, "dataset_id": job.dataset_id}
    return _facts(event, facts, job.problem, links)


def _of_set(
    session: Session, model: type[Dataset] | type[CondensedSet], path: str, event: Event
) -> dict[str, Any]:
    row = session.execute(select(model.name, model.problem).where(model.id == event.subject_id)).one()
    links = {"self": f"{path}/{event.subject_id}"}
    return _facts(event, {"name": row.name}, row.problem, links)


def _facts(
    event: Event, facts: dict[str, Any], problem: dict[str, Any] | None, links: dict[str, str]
) -> dict[str, Any]:
    # Deliveries may overtake one another; by `seq` a receiver knows which is the newer.
    data = {"id": event.subject_id, "state": event.type, "seq": event.seq, **facts}
    if problem is not None:
        data["problem"] = {"code": problem["code"], "detail": problem["detail"][:_MAX_DETAIL]}
    return {**data, "links": links}
