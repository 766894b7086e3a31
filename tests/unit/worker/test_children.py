"""A worker's processes, forked or started: to the module that is run both are `python -m`."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.service import ROOT

#: Prints what it was given, then does what it is told.
MODULE = """
import os, signal, sys, time
if __name__ == "__main__":
    said = [sys.argv[1:], os.getsid(0) == os.getpid(), os.getppid() == int(sys.argv[1])]
    said += [signal.getsignal(signal.SIGTERM) is signal.SIG_DFL]
    said += [signal.getsignal(signal.SIGINT) is signal.default_int_handler]
    said += [signal.pthread_sigmask(signal.SIG_BLOCK, ())]
    print(*said, file=sys.stderr, flush=True)
    print("on standard output", flush=True)
    match sys.argv[2]:
        case "ends":
            sys.exit(int(sys.argv[3]))
        case "says why":
            sys.exit("that is why")
        case "raises":
            raise ValueError("of the module")
        case "waits":
            time.sleep(1000)
"""
#: What a worker does before and after, with a handler of its own as it has.
STARTER = """
import os, signal, sys
from worker import children
handled = []
signal.signal(signal.SIGTERM, lambda *_: handled.append("SIGTERM"))
signal.signal(signal.SIGINT, lambda *_: None)  # or who ran the tests may have it ignored
child = getattr(children, sys.argv[1])("told", str(os.getpid()), *sys.argv[2:], quiet=True)
if "waits" in sys.argv:
    child.poll() is None or sys.exit("it has ended")
    child.terminate()
child.wait(60)
os.kill(os.getpid(), signal.SIGTERM)
print(child.poll(), handled, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def run(folder: Path, how: str, *arguments: str) -> tuple[str, str]:
    (folder / "told.py").write_text(textwrap.dedent(MODULE))
    done = subprocess.run(
        [sys.executable, "-c", STARTER, how, *arguments], cwd=folder, text=True, capture_output=True,
        env={"PYTHONPATH": f"{ROOT}:{folder}", "CONDENSERY_DATA_DIR": str(folder)}, check=True,
    )  # fmt: skip
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("how", ["fork", "start"])
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ends", "0"], 0, ""),
        (["ends", "7"], 7, ""),
        (["says why"], 1, "that is why"),
        (["raises"], 1, "ValueError: of the module"),
    ],
)
def test_a_module_is_run_in_a_process_of_its_own(
    tmp_path: Path, how: str, arguments: list[str], status: int, said: str
) -> None:
    ended, errors = run(tmp_path, how, *arguments)
    assert ended == f"{status} ['SIGTERM'] set()"
    first, _, rest = errors.partition("\n")
    assert first.endswith("] True True True True set()"), first
    assert said in rest


@pytest.mark.parametrize("how", ["fork", "start"])
def test_it_does_what_the_module_does_about_a_signal(tmp_path: Path, how: str) -> None:
    ended, _ = run(tmp_path, how, "waits")
    assert ended == f"{-signal.SIGTERM} ['SIGTERM'] set()"
