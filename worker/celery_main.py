"""`python -m worker.celery_main QUEUE PARENT`: one Celery worker, for one queue."""

import sys

from core.processes import die_with_parent
from worker.app import app, settings


def main(queue: str, parent: int) -> None:
    die_with_parent(parent)
    slots = {"cpu": settings.cpu_slots, "gpu": settings.gpu_slots}[queue]
    app.worker_main(
        [
            "worker",
            f"--queues={queue}",
            f"--hostname={queue}@%h",
            "--pool=prefork",  # solo would block and repeat messages, threads cannot be killed
            f"--concurrency={slots}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--loglevel={settings.log_level}",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
