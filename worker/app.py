"""The Celery application of the workers. It never imports torch: jobs run in processes of their own."""

import mmap
from typing import Any

from celery.signals import setup_logging, worker_shutting_down

from core.settings import get_settings
from core.work.wake_ups import make_celery

settings = get_settings()
app = make_celery(settings)
app.conf.update(
    imports=["worker.tasks"],
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=settings.broker.startswith("redis"),  # else one message waits behind a long job
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    # A broker that went away must not kill a job of hours: the row's lease guards it.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
)

#: One byte that the pool's processes inherit: set once this worker is asked to stop.
_draining = mmap.mmap(-1, 1)


@worker_shutting_down.connect
def drain(**_kwargs: Any) -> None:
    _draining[0] = 1


def draining() -> bool:
    """Whether the worker has been asked to stop: running jobs are to save and go back to the queue."""
    return _draining[0] == 1


@setup_logging.connect
def _leave_logs_alone(**_kwargs: Any) -> None:
    """Each process sets its own up when it starts; with a listener Celery does not."""
