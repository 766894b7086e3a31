"""The one place that talks to the broker.

A message is a wake-up: it says that a row may be waiting, and losing, delaying or doubling it is harmless,
because the worker looks up which row is next (core/work/scheduling.py) and claims that. So a broker that is
down is never an error of a request: the reaper sends the message again, and workers poll by themselves.
"""

from typing import Any

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from sqlalchemy import update
from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.db.session import after_commit
from core.db.types import db_now
from core.failpoints import reach
from core.settings import Settings, get_settings
from core.vocabulary import INTAKE_QUEUE, QUEUES, TRIAL_QUEUE
from core.work.transitions import LeasedRow

log = structlog.get_logger(__name__)

WORK = "condensery.work"
PUBLISH_SECONDS = 1.0
#: A probe is given a second in all, and a broker that is away must not cost it.
PROBE_SECONDS = 0.3

_producer: Celery | None = None


def make_celery(settings: Settings) -> Celery:
    """Celery as producer and worker share it. Settings whose default would lose or double work are
    stated, with the reason."""
    app = Celery("condensery", broker=settings.broker)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # the row is the result
        task_acks_late=False,  # a late ack is redelivered while a long job still runs
        task_default_queue="cpu",
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_create_missing_queues=False,
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings),
    )
    return app


def make_producer(settings: Settings) -> Celery:
    """For sending only. A request must not wait for a broker: left to their defaults, kombu goes on
    connecting for 6 s, and a broker that takes the connection but says nothing holds it for 15."""
    app = make_celery(settings)
    app.conf.broker_transport_options |= {"max_retries": 0, "socket_timeout": PUBLISH_SECONDS}
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.broker.startswith("filesystem:"):
        return {
            "visibility_timeout": 300,  # only the milliseconds between fetch and ack matter
            "socket_timeout": 15,
            "socket_connect_timeout": PUBLISH_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "global_keyprefix": "condensery:",
        }
    folder = settings.data_dir.absolute() / "broker"
    for name in ("messages", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
        "store_processed": False,
        "polling_interval": 0.25,
    }


def wake(session: Session, row: LeasedRow) -> None:
    """Wake a worker for `row` once the session's transaction is committed."""
    queue = queue_of(row)
    session.execute(
        update(type(row))
        .where(type(row).id == row.id)
        .values(dispatched_at=db_now())
        .execution_options(synchronize_session=False)
    )
    row_id = row.id
    after_commit(session, lambda: _send(queue, row_id))


def queue_of(row: LeasedRow) -> str:
    """Which queue serves a waiting row."""
    match row:
        case Job():
            return row.queue
        case Trial():
            return TRIAL_QUEUE
    return INTAKE_QUEUE


def _send(queue: str, row_id: str) -> None:
    global _producer
    reach("job.committed")
    _producer = _producer or make_producer(get_settings())
    try:
        _producer.send_task(WORK, kwargs={"queue": queue}, queue=queue, ignore_result=True, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("wake-up not sent; the reaper will", row=row_id, queue=queue, error=str(error))


def broker_answers(settings: Settings) -> bool:
    """Whether the broker can be reached now. While it cannot, jobs start later."""
    app = make_producer(settings)
    app.conf.broker_transport_options |= {
        "socket_timeout": PROBE_SECONDS,
        "socket_connect_timeout": PROBE_SECONDS,
    }
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=PROBE_SECONDS, interval_start=0)
            connection.default_channel  # noqa: B018 (opening it asks the broker)
    except (OperationalError, OSError):
        return False
    return True
