"""A process of a worker that ends is started anew, each time after a longer pause while it ends at once."""

import subprocess
import sys

from structlog.testing import capture_logs

from worker.revived import Revived


def ended() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    process.wait()
    return process


def test_the_pauses_double_and_are_short_again_after_one_that_lived() -> None:
    started: list[float] = []

    def again() -> "subprocess.Popen[bytes]":
        started.append(now)
        return ended()

    now = 0.0
    with capture_logs() as logs:
        revived = Revived("a process", ended(), again, now)
        while len(started) < 8:
            revived.tend(now)
            now += 1
        now += 1000  # and so long the last one lived
        revived.tend(now)
    pauses = [one["seconds"] for one in logs]
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 2]
    # Seen dead a second after each start.
    assert [later - before - 1 for before, later in zip([-1, *started], started, strict=False)] == pauses[:8]
    assert {(one["event"], one["status"]) for one in logs} == {
        ("a process died; another one will be started", 3)
    }


def test_one_that_lives_is_left_alone() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    revived = Revived("a process", child, ended, 0.0)
    revived.tend(1000.0)
    assert revived.child is child
    assert child.stdin is not None
    child.stdin.close()
    child.wait()
