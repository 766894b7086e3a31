"""A process of the worker that is started anew whenever it ends.

One that ends as soon as it begins would otherwise take a core for loading itself again and again: the pause
before the next start doubles each time, and is short again after one that lived.
"""

from collections.abc import Callable

import structlog

from worker.children import Child

log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 60.0
_LIVED_SECONDS = 60.0


class Revived:
    """A child, and after its end another; `tend` is to be called again and again."""

    def __init__(self, name: str, child: Child, again: Callable[[], Child], now: float) -> None:
        """`now`: seconds of a clock that never goes back, as for `tend`."""
        self.child = child
        self._name, self._again = name, again
        self._since, self._pause = now, 0.0
        self._due: float | None = None

    def tend(self, now: float) -> None:
        """See whether it lives, and start another one when that is due."""
        if self._due is not None:
            if now >= self._due:
                self.child, self._since, self._due = self._again(), now, None
        elif self.child.poll() is not None:
            lived = now - self._since >= _LIVED_SECONDS
            longer = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            self._pause = _FIRST_PAUSE_SECONDS if lived else longer
            self._due = now + self._pause
            log.error(
                f"{self._name} died; another one will be started",
                status=self.child.returncode,
                seconds=self._pause,
            )
