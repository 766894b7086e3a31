"""How much memory and time reading one data set may take, whatever reads it.

The libraries that read uploads (pyarrow, Pillow, zstandard, numpy) take memory as a file tells them to, and
have no limit of their own that holds. So the process has one, kept by the kernel: what goes over it gets a
MemoryError where it asked, before it has the whole machine's memory. The process must be one that
does nothing else.
"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from core.data.limits import MIB
from core.errors import DataError


@contextmanager
def process_limits(*, memory_bytes: int, cpu_seconds: int) -> Iterator[None]:
    """Hold this process to so much memory in all, and so much more time of its CPUs; main thread only.

    Memory is RLIMIT_DATA: all that is allocated, by Python and by libraries. Not RLIMIT_AS, for the finished
    set is mapped into memory as a file and may be larger than that. Behind the context both are as before.

    Raises:
        DataError: `limit_exceeded`, with the limit_name `memory_bytes` or `cpu_seconds`.
    """

    def too_long(_signal: int, _frame: FrameType | None) -> NoReturn:
        # The kernel sends it again each second, and what tidies up now may take longer.
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        raise DataError(
            f"reading it takes more than the limit of {cpu_seconds:,} seconds of CPU time",
            code="limit_exceeded",
            limit_name="cpu_seconds",
            limit=cpu_seconds,
        )

    memory, cpu = resource.getrlimit(resource.RLIMIT_DATA), resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + cpu_seconds
    handler = signal.signal(signal.SIGXCPU, too_long)
    try:
        # The soft ones only: whoever takes hold of this process needs no more memory to do harm.
        resource.setrlimit(resource.RLIMIT_CPU, (_lower(until, cpu[1]), cpu[1]))
        resource.setrlimit(resource.RLIMIT_DATA, (_lower(memory_bytes, memory[1]), memory[1]))
        yield
    except MemoryError as error:
        raise DataError(
            f"reading it takes more than the limit of {memory_bytes / MIB:,.0f} MiB of memory; fewer or "
            "smaller files, images or row groups may help",
            code="limit_exceeded",
            limit_name="memory_bytes",
            limit=memory_bytes,
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, memory)
        resource.setrlimit(resource.RLIMIT_CPU, cpu)
        signal.signal(signal.SIGXCPU, handler)


def _lower(soft: int, hard: int) -> int:
    return soft if hard == resource.RLIM_INFINITY else min(soft, hard)
