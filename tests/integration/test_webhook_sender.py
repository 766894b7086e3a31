"""The sender, against real receivers, on both databases."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.db.models import Delivery
from core.db.session import Database
from core.db.types import db_now
from core.webhooks.deliveries import AT_ONCE_OF_WEBHOOK
from tests.support.hooks import (
    SETTINGS,
    add_webhook,
    cancelled_job,
    deliveries_of,
    make_due,
    set_delivery,
)
from tests.support.leased import OWNER
from tests.support.processes import wait_for
from tests.support.receiver import FINE, Answer, Received, receiver
from worker import webhooks
from worker.webhooks import serve

ROOT = Path(__file__).parents[2]


@contextmanager
def sender(database: Database) -> Iterator[None]:
    """Sends what is due, in a thread of this process."""
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=[serve(database, SETTINGS, stop)])
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def delivery_in(database: Database, webhook_id: str, state: str) -> Delivery:
    (found,) = wait_for(
        lambda: [one for one in deliveries_of(database, webhook_id) if one.state == state], seconds=120
    )
    return found


def test_retried_after_a_failure_and_delivered_under_the_same_id(database: Database) -> None:
    with receiver(lambda n, received: (500, {}) if n == 0 else FINE) as target, sender(database):
        webhook = add_webhook(database, target.url)
        job_id = cancelled_job(database)
        target.wait_for(1)
        (failed,) = wait_for(
            lambda: [one for one in deliveries_of(database, webhook.id) if one.last_status], seconds=120
        )
        assert (failed.state, failed.attempts, failed.last_status) == ("pending", 1, 500)
        make_due(database, failed.id)
        first, second = target.wait_for(2)
        done = delivery_in(database, webhook.id, "delivered")
    assert first.id == second.id == done.id == failed.id
    assert first.body == second.body
    assert second.verified(webhook.secret)["type"] == "job.cancelled"
    assert second.payload["data"]["id"] == job_id
    assert (done.attempts, done.last_status, done.last_error) == (2, 204, None)
    assert done.delivered_at and done.last_attempt_at and done.next_attempt_at is None


def test_a_slow_target_holds_up_nobody_else(database: Database) -> None:
    answer = threading.Event()

    def when_told(n: int, received: Received) -> Answer:
        answer.wait(120)
        return FINE

    with receiver(when_told) as slow, receiver() as quick:
        slow_hook = add_webhook(database, slow.url)
        for _ in range(AT_ONCE_OF_WEBHOOK + 2):
            cancelled_job(database)
        quick_hook, others_hook = (
            add_webhook(database, quick.url),
            add_webhook(database, quick.url, owner="x"),
        )
        with sender(database):
            slow.wait_for(AT_ONCE_OF_WEBHOOK)
            cancelled_job(database)
            cancelled_job(database, owner="x")
            for webhook in (quick_hook, others_hook):
                assert delivery_in(database, webhook.id, "delivered")
            assert len(slow.received) == AT_ONCE_OF_WEBHOOK
            answer.set()
            slow.wait_for(AT_ONCE_OF_WEBHOOK + 3)
            wait_for(lambda: {one.state for one in deliveries_of(database, slow_hook.id)} == {"delivered"})
    assert len({one.id for one in slow.received}) == len(slow.received)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_stops_although_a_target_hangs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_STOP_SECONDS", 0.1)
    answer, answered = threading.Event(), threading.Event()

    def hanging(n: int, received: Received) -> Answer:
        answer.wait(60)
        answered.set()
        return FINE

    with receiver(hanging) as target:
        webhook = add_webhook(database, target.url)
        cancelled_job(database)
        with sender(database):
            target.wait_for(1)
        assert not answered.is_set()
        answer.set()
    (left,) = deliveries_of(database, webhook.id)
    assert (left.state, left.attempts) == ("pending", 1)
    assert left.claimed_until


# That claims lapse is tested on both databases beside their code; two processes take seconds to start.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_a_killed_sender_had_in_hand_is_sent_again(database: Database, database_url: str) -> None:
    answer = threading.Event()

    def hanging_at_first(n: int, received: Received) -> Answer:
        if n == 0:
            answer.wait(120)
        return FINE

    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CONDENSERY_DATABASE_URL": database_url,
        "CONDENSERY_WEBHOOK_ALLOWED_HOSTS": '["127.0.0.0/8"]',
    }
    command = [sys.executable, "-m", "worker.webhooks", str(os.getpid())]
    with receiver(hanging_at_first) as target:
        webhook = add_webhook(database, target.url, owner=OWNER)
        cancelled_job(database)
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            target.wait_for(1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        (lost,) = deliveries_of(database, webhook.id)
        assert (lost.state, lost.attempts) == ("pending", 1)
        assert lost.claimed_until
        set_delivery(database, lost.id, claimed_until=db_now(-1))  # the minute that a claim lasts
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            assert delivery_in(database, webhook.id, "delivered").attempts == 2
        finally:
            process.terminate()
            assert process.wait(120) == 0
            answer.set()
    assert {one.id for one in target.received} == {lost.id}
