"""Places where a test may make this process fail, by name: "killed between these two lines" is a case.

Off unless CONDENSERY_FAILPOINTS names a directory. Then a process that reaches the point NAME takes the file
NAME from there, if there is one, and does what it says: `kill` (this process, as kill -9), `stop` (as
SIGSTOP), `full` (the disk) or `broken` (an I/O error). Each file is for one process; what is meant for all
of them ends in `always` and stays.
"""

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

_VARIABLE = "CONDENSERY_FAILPOINTS"
_folder = Path(os.environ[_VARIABLE]) if _VARIABLE in os.environ else None


def reach(name: str) -> None:
    """Pass the point `name`, or fail there as a test asked for."""
    if _folder is not None:
        _fail(_folder / name)


def _fail(armed: Path) -> None:
    with suppress(FileNotFoundError):
        action, *rest = armed.read_text().split()
        if rest != ["always"]:
            armed.unlink()  # raises if another process was first
        match action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "full":
                raise OSError(errno.ENOSPC, "no space left (failpoint)")
            case "broken":
                raise OSError(errno.EIO, "input/output error (failpoint)")
            case _:
                raise ValueError(f"failpoint {armed.name}: what is {action!r}?")
