"""Processes, as the kernel lists them, and waiting for what they do."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tenacity import Retrying, retry_if_not_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def wait_for(find: Callable[[], T], *, seconds: float = 300, every: float = 0.05) -> T:
    """Call `find` until what it returns is true. Raises tenacity.RetryError if that takes too long.

    Unless something depends on it, so long that a busy machine on which torch takes a minute to load passes.
    """
    waiting = Retrying(
        stop=stop_after_delay(seconds), wait=wait_fixed(every), retry=retry_if_not_result(bool)
    )
    return waiting(find)


def commands() -> dict[int, list[str]]:
    """The command line of every process that has one: a zombie's is empty."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command:
            found[int(folder.name)] = command
    return found


def runner_of(row_id: str) -> int | None:
    """The process that works on a row."""
    return next(
        (pid for pid, command in commands().items() if "worker.runner" in command and row_id in command), None
    )


def runner_of_attempt(row_id: str, fence: int) -> int | None:
    """As `runner_of`, where an attempt that has lost the row may live on."""
    wanted = {"worker.runner", row_id, str(fence)}
    return next((pid for pid, command in commands().items() if wanted <= set(command)), None)


def parent_of(pid: int) -> int:
    """Raises FileNotFoundError or ProcessLookupError: it is gone."""
    return int(_status(pid)[1])


def is_stopped(pid: int) -> bool:
    """Whether it has got SIGSTOP. Raises as `parent_of`."""
    return _status(pid)[0] == "T"


def _status(pid: int) -> list[str]:
    # pid (name) state ppid …, and a name may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descendants(root: int) -> set[int]:
    children: dict[int, set[int]] = {}
    for pid in commands():
        try:
            parent = parent_of(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, set()).add(pid)
    found, unseen = set(), {root}
    while unseen:
        unseen = set().union(*(children.get(pid, set()) for pid in unseen))
        found |= unseen
    return found


def lives(pid: int) -> bool:
    return pid in commands()


def is_runner(pid: int) -> bool:
    return "worker.runner" in commands().get(pid, [])
