"""What is reported while no event comes: that there is no worker, for whom all that is queued waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic

import httpx2

from condensery import CondensedSet, Dataset, Job
from condensery.client.errors import CondenseryError

#: Without an event, before the reason is looked for.
SECONDS_OF_SILENCE = 15.0
#: As the server sees it by default: a worker without a heartbeat for longer has gone.
SECONDS_TO_LIVE = 60.0

NO_WORKER = (
    "no worker is running: what is queued stays queued, and starts as soon as there is one: python -m worker"
)
GOES_ON = "a worker is running: it goes on"


@dataclass
class _Silence:
    """Since the last event. `reported`: that there is no worker."""

    resource: Dataset | CondensedSet | Job
    report: Callable[[str], None]
    since: float = field(default_factory=monotonic)
    reported: bool = False
    over: Flag = field(default_factory=Flag)
    lock: Lock = field(default_factory=Lock)

    def broken(self) -> None:
        """An event came."""
        self.since = monotonic()
        if self.reported:
            self.check()

    def check(self) -> None:
        """Report it if it has changed, and is known, whether there is a worker."""
        with self.lock:
            there = _worker_there(self.resource)
            if there is not None and there == self.reported and not self.over.is_set():
                self.reported = not there
                self.report(GOES_ON if there else NO_WORKER)

    def watch(self) -> None:
        due = self.since + SECONDS_OF_SILENCE
        while not self.over.wait(max(0.0, due - monotonic())):
            due = self.since + SECONDS_OF_SILENCE
            if due <= monotonic():
                self.check()
                due = monotonic() + SECONDS_OF_SILENCE


@contextmanager
def explained(
    resource: Dataset | CondensedSet | Job, report: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Beside the events of what is given, in a thread, for whoever reads them is blocked: report, once, that
    no worker is running, and once there is one that it goes on. Call what is yielded at every event."""
    silence = _Silence(resource, report)
    # Not waited for at the end: Ctrl-C must not hang on a question to a server that is away.
    Thread(target=silence.watch, daemon=True).start()
    try:
        yield silence.broken
    finally:
        silence.over.set()


def _worker_there(resource: Dataset | CondensedSet | Job) -> bool | None:
    """None: it cannot be found out, as from a server that is not ready."""
    try:
        seen = resource.requests.with_retries(0).get("/readyz")["workers"]
    except (CondenseryError, httpx2.HTTPError, KeyError, RuntimeError):  # the last: the client is closed
        return None
    return seen is not None and seen < SECONDS_TO_LIVE
