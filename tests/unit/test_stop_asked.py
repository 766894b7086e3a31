"""A signal that asks to stop: at whatever moment it comes, nobody waits for ever."""

import random
import signal
import subprocess
import sys
from types import FrameType

from core.processes import StopAsked

SIGNALS = 20_000


def main() -> None:
    """Be interrupted again and again, at moments that differ by microseconds."""
    stop = StopAsked()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGALRM, ask)
    for _ in range(SIGNALS):
        stop = StopAsked()
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-5))
        while not stop.wait(0.01):
            pass


def test_a_signal_at_any_moment_is_heard() -> None:
    """In a process of its own: only its main thread would hear them, and it may hang."""
    subprocess.run([sys.executable, "-m", "tests.unit.test_stop_asked"], check=True, timeout=60)


def test_a_wait_that_nobody_ends_is_over_in_time() -> None:
    stop = StopAsked()
    assert not stop.wait(0.01)
    stop.set()
    assert stop.wait(60) and stop.wait(60), "once asked for ever"


if __name__ == "__main__":
    main()
