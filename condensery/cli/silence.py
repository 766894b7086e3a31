"""What is said while no event comes: that there is no worker, for whom all that is queued waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic

import httpx2

from condensery.client.errors import CondenseryError
from condensery.client.requests import Requests
from condensery.client.resources import Dataset, Job

#: Without an event, before it is asked why.
SECONDS_OF_SILENCE = 15.0
#: As the server sees it by default: a worker that says nothing for longer has gone.
SECONDS_TO_LIVE = 60.0

NO_WORKER = (
    "no worker is running: what is queued stays queued, and starts as soon as there is one: python -m worker"
)
GOES_ON = "a worker is running: it goes on"


@dataclass
class _Silence:
    """Since the last event. `told`: that there is no worker."""

    resource: Dataset | Job
    say: Callable[[str], None]
    since: float = field(default_factory=monotonic)
    told: bool = False
    over: Flag = field(default_factory=Flag)
    lock: Lock = field(default_factory=Lock)

    def broken(self) -> None:
        """An event came."""
        self.since = monotonic()
        if self.told:
            self.look()

    def look(self) -> None:
        """Say it if it has changed, and is known, whether there is a worker."""
        with self.lock:
            there = _worker_there(self.resource)
            if there is not None and there == self.told and not self.over.is_set():
                self.told = not there
                self.say(GOES_ON if there else NO_WORKER)

    def watch(self) -> None:
        due = self.since + SECONDS_OF_SILENCE
        while not self.over.wait(max(0.0, due - monotonic())):
            due = self.since + SECONDS_OF_SILENCE
            if due <= monotonic():
                self.look()
                due = monotonic() + SECONDS_OF_SILENCE


@contextmanager
def explained(resource: Dataset | Job, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Beside the events of what is given, in a thread, for whoever reads them is blocked: `say`, once, that
    no worker is running, and once there is one that it goes on. Call what is yielded at every event."""
    silence = _Silence(resource, say)
    # Not waited for at the end: Ctrl-C must not hang on a question to a server that is away.
    Thread(target=silence.watch, daemon=True).start()
    try:
        yield silence.broken
    finally:
        silence.over.set()


def _worker_there(resource: Dataset | Job) -> bool | None:
    """None: it cannot be found out, as from a server that is not ready."""
    context = resource.context
    once = Requests(context.requests.address, retries=0)
    try:
        seen = context.driver.run(once.get("/readyz"))["workers"]
    except (CondenseryError, httpx2.HTTPError, KeyError, RuntimeError):  # the last: the client is closed
        return None
    return seen is not None and seen < SECONDS_TO_LIVE
