"""What is to be sent to webhooks, and which sender sends it, on both databases."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core.db.models import Dataset, Delivery, Event, Job, Webhook
from core.db.session import Database
from core.db.types import db_now
from core.vocabulary import CONDENSED_SET_STATES, DATASET_STATES, JOB_STATES
from core.webhooks.deliveries import FAILING_SECONDS, RETRY_SECONDS, Outcome, forget_old, settle
from core.webhooks.endpoints import change_webhook
from core.webhooks.events import EVENT_TYPES
from core.work.transitions import move, record
from tests.support.hooks import (
    SETTINGS,
    add_webhook,
    cancelled_job,
    claim_due,
    deliveries_of,
    make_due,
    set_delivery,
    webhook_of,
)
from tests.support.leased import add_dataset, add_job, new_row, take

BROKEN = Outcome(status=500, error="its target answered 500")


def bodies_of(database: Database, webhook: Webhook) -> list[dict[str, Any]]:
    return [json.loads(delivery.body) for delivery in deliveries_of(database, webhook.id)]


def test_event_types_are_states() -> None:
    assert set(EVENT_TYPES) < {
        *(f"job.{one}" for one in JOB_STATES),
        *(f"dataset.{one}" for one in DATASET_STATES),
        *(f"condensed_set.{one}" for one in CONDENSED_SET_STATES),
    }


def test_a_jobs_way_is_told(database: Database) -> None:
    webhook = add_webhook(database)
    dataset_id = new_row(database, Dataset)
    job_id = new_row(database, Job, name="digits", dataset_id=dataset_id)
    lease = take(database, job_id)
    with database.writing() as session:
        assert record(session, Job, job_id, "progress", {"iteration": 1})
        assert move(session, Job, job_id, "pausing")
        assert move(session, Job, job_id, "paused")
        assert move(session, Job, job_id, "queued")
    take(database, job_id)
    with database.writing() as session:
        problem = {"code": "job_failed", "detail": "x" * 9000, "limit": 1}
        assert move(session, Job, job_id, "failed", Job.fence == lease.fence + 1, problem=problem)
    found = bodies_of(database, webhook)
    assert [one["type"] for one in found] == ["job.running", "job.paused", "job.running", "job.failed"]
    with database.reading() as session:
        last = session.get_one(Event, (job_id, 8))
    assert datetime.fromisoformat(found[-1]["timestamp"]) == last.created_at
    assert found[-1]["data"] == {
        "id": job_id,
        "state": "failed",
        "seq": 8,
        "kind": "condense",
        "name": "digits",
        "phase": "condense",
        "dataset_id": dataset_id,
        "problem": {"code": "job_failed", "detail": "x" * 500},
        "links": {"self": f"/v1/jobs/{job_id}", "events": f"/v1/jobs/{job_id}/events"},
    }
    assert all("problem" not in one["data"] for one in found[:-1])
    assert all(len(delivery.body) < 2000 for delivery in deliveries_of(database, webhook.id))


def test_a_data_sets_end_is_told(database: Database) -> None:
    webhook = add_webhook(database)
    for state in ("ready", "invalid"):
        dataset_id = new_row(database, Dataset)
        take(database, dataset_id, Dataset)
        with database.writing() as session:
            assert move(session, Dataset, dataset_id, state)
    assert [one["type"] for one in bodies_of(database, webhook)] == ["dataset.ready", "dataset.invalid"]


def test_a_change_that_is_rolled_back_is_not_told(database: Database) -> None:
    webhook = add_webhook(database)
    job_id = new_row(database, Job)
    with pytest.raises(RuntimeError), database.writing() as session:
        assert move(session, Job, job_id, "cancelled")
        raise RuntimeError
    with database.writing() as session:
        assert not move(session, Job, job_id, "paused", Job.fence == 99)
    assert bodies_of(database, webhook) == []


def test_only_who_wants_it_is_told(database: Database) -> None:
    everything, wanted = add_webhook(database), add_webhook(database, events=["job.cancelled"])
    others = [
        add_webhook(database, events=["job.failed", "dataset.ready"]),
        add_webhook(database, owner="somebody.else"),
        add_webhook(database, enabled=False),
    ]
    cancelled_job(database)
    counts = [len(deliveries_of(database, one.id)) for one in (everything, wanted, *others)]
    assert counts == [1, 1, 0, 0, 0]


def test_no_two_senders_take_the_same(database: Database) -> None:
    # A few of each owner's, since a sender takes no more at once.
    for n in range(3):
        webhooks = [add_webhook(database, owner=f"o{n}") for _ in range(2)]
        for _ in range(4):
            cancelled_job(database, owner=f"o{n}")
    expected = 24
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            takes = list(pool.map(lambda _: claim_due(database), range(4)))
        taken = [one.delivery_id for many in takes for one in many]
        assert len(set(taken)) == len(taken) == expected
        assert claim_due(database) == []
        for one in taken:
            make_due(database, one)
    assert {one.attempts for one in deliveries_of(database, webhooks[0].id)} == {3}


def test_a_dead_senders_claim_lapses_and_its_outcome_comes_too_late(database: Database) -> None:
    webhook = add_webhook(database)
    cancelled_job(database)
    (dead,) = claim_due(database)
    assert claim_due(database) == []
    set_delivery(database, dead.delivery_id, claimed_until=db_now(-1))
    (second,) = claim_due(database)
    assert (second.delivery_id, second.attempt) == (dead.delivery_id, 2)
    with database.writing() as session:
        assert not settle(session, dead, BROKEN)
        assert settle(session, second, Outcome(status=200))
        assert not settle(session, second, BROKEN)
    (delivery,) = deliveries_of(database, webhook.id)
    assert (delivery.state, delivery.last_status, delivery.next_attempt_at) == ("delivered", 200, None)
    assert webhook_of(database, webhook.id).failing_since is None


def test_attempts_follow_the_schedule_to_their_end(database: Database) -> None:
    webhook = add_webhook(database)
    cancelled_job(database)
    for attempt, seconds in enumerate([*RETRY_SECONDS, None], start=1):
        (claimed,) = claim_due(database)
        assert claimed.attempt == attempt
        with database.writing() as session:
            assert settle(session, claimed, BROKEN)
        (delivery,) = deliveries_of(database, webhook.id)
        assert claim_due(database) == []
        if seconds is None:
            break
        assert delivery.next_attempt_at
        wait = (delivery.next_attempt_at - datetime.now(UTC)).total_seconds()
        assert seconds - 5 < wait < seconds * 1.2 + 5
        make_due(database, delivery.id)
    assert (delivery.state, delivery.next_attempt_at, delivery.attempts) == ("failed", None, 10)
    assert (delivery.last_status, delivery.last_error) == (500, "its target answered 500")


def test_gone_disables_the_webhook_at_once(database: Database) -> None:
    webhook = add_webhook(database)
    for _ in range(2):
        cancelled_job(database)
    first, _ = claim_due(database)
    with database.writing() as session:
        assert settle(session, first, Outcome(status=410, error="its target answered 410"))
    found = webhook_of(database, webhook.id)
    assert not found.enabled
    assert "410" in (found.disabled_reason or "")
    states = [one.state for one in deliveries_of(database, webhook.id)]
    assert sorted(states) == ["failed", "pending"]


def test_a_webhook_that_fails_for_days_is_disabled_and_can_be_enabled(database: Database) -> None:
    webhook, other = add_webhook(database), add_webhook(database)
    cancelled_job(database)
    claimed = next(one for one in claim_due(database) if one.webhook_id == webhook.id)
    with database.writing() as session:
        assert settle(session, claimed, BROKEN)
    since = webhook_of(database, webhook.id).failing_since
    assert since and abs(datetime.now(UTC) - since) < timedelta(minutes=1)
    for seconds, enabled in ((FAILING_SECONDS - 60, True), (FAILING_SECONDS + 60, False)):
        with database.writing() as session:
            moved = update(Webhook).where(Webhook.id == webhook.id)
            session.execute(moved.values(failing_since=db_now(-seconds)))
        make_due(database, claimed.delivery_id)
        (again,) = claim_due(database)
        with database.writing() as session:
            assert settle(session, again, BROKEN)
        assert webhook_of(database, webhook.id).enabled == enabled
    assert "5 days; the last attempt: its target answered 500" in (
        webhook_of(database, webhook.id).disabled_reason or ""
    )
    make_due(database, claimed.delivery_id)
    assert claim_due(database) == []
    with database.writing() as session:
        change_webhook(session, session.get_one(Webhook, webhook.id), {"enabled": True}, SETTINGS)
    enabled_again = webhook_of(database, webhook.id)
    assert (enabled_again.disabled_reason, enabled_again.failing_since) == (None, None)
    assert [one.delivery_id for one in claim_due(database)] == [claimed.delivery_id]
    assert webhook_of(database, other.id).enabled


def test_a_webhook_may_be_deleted_while_it_is_told(database: Database) -> None:
    webhook = add_webhook(database)
    cancelled_job(database)
    (claimed,) = claim_due(database)
    with database.writing() as session:
        session.delete(session.get_one(Webhook, webhook.id))
    with database.writing() as session:
        assert not settle(session, claimed, BROKEN)
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_deleting_webhooks_never_fails_a_job(database: Database) -> None:
    """The row of the outbox refers to the webhook: it may not go between the check and the entry."""
    for _ in range(10):
        webhooks = [add_webhook(database) for _ in range(2)]
        with database.writing() as session:
            job_id = add_job(session).id

        def delete(webhook: Webhook) -> None:
            with database.writing() as session:
                session.delete(session.get_one(Webhook, webhook.id))

        def cancel() -> None:
            with database.writing() as session:
                assert move(session, Job, job_id, "cancelled")  # noqa: B023

        with ThreadPoolExecutor(3) as pool:
            ends = [pool.submit(cancel), *(pool.submit(delete, one) for one in webhooks)]
            for end in ends:
                end.result()


def test_the_log_forgets_what_has_ended(database: Database) -> None:
    webhook = add_webhook(database)
    with database.writing() as session:
        add_dataset(session)
    for state, age in (("delivered", 100), ("failed", 100), ("pending", 100), ("delivered", 10)):
        cancelled_job(database)
        newest = deliveries_of(database, webhook.id)[-1]
        set_delivery(database, newest.id, state=state, created_at=db_now(-age))
    with database.writing() as session:
        assert forget_old(session, 50) == 2
    assert [one.state for one in deliveries_of(database, webhook.id)] == ["pending", "delivered"]
