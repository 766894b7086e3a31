"""`python -m worker.celery_main QUEUE PARENT SLOTS`: one Celery worker, for one queue."""

import sys
from typing import Any

from celery.signals import worker_process_init

from core import logs
from core.processes import die_with_parent
from worker import runner_process, slots
from worker.app import app, settings


def main(queue: str, parent: int, descriptor: int) -> None:
    die_with_parent(parent)
    logs.configure(settings, process="worker")
    slots.use(descriptor)
    if queue == "gpu":
        worker_process_init.connect(_preload)
    app.worker_main(
        [
            "--quiet",  # no banner
            "worker",
            f"--queues={queue}",
            f"--hostname={queue}@%h",
            "--pool=prefork",  # solo would block and repeat messages, threads cannot be killed
            f"--concurrency={slots.slots_of(queue, settings)}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--loglevel={settings.log_level}",
        ]
    )


def _preload(**_kwargs: Any) -> None:
    """In each process of the pool. What the other queue's rows need is loaded when there is one."""
    runner_process.preload("tensors")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
