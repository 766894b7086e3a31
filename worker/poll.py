"""`python -m worker.poll QUEUE PARENT SLOTS`: claim rows that nobody was woken for.

Started by the worker when rows wait although a slot is free: the broker is away, or has lost its messages.
"""

import signal
import sys
from types import FrameType

from core import logs
from core.processes import die_with_parent
from worker import slots
from worker.app import drain, settings
from worker.tasks import work_through


def main(queue: str, parent: int, descriptor: int) -> None:
    die_with_parent(parent)
    logs.configure(settings, process="worker")
    slots.use(descriptor)

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        drain()

    signal.signal(signal.SIGTERM, ask_to_stop)
    work_through(queue)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
