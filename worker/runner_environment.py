"""What supervisor and runner agree on: the environment it starts with, and what its exit status says.

The environment is what must be set before libraries load.

The benchmark runs under it too, so that it times what the service does.
"""

from collections.abc import Mapping

EX_DATABASE_AWAY = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with the work, and the row could not be written."""

RUNNER_ENVIRONMENT: Mapping[str, str] = {
    # glibc maps and unmaps every large tensor anew, and the page faults cost a third of the time on CPUs;
    # kept memory costs nothing, in a process that ends with its job.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_ARENA_MAX": "1",
    # Arrow's own allocator reserves a gigabyte at its start: that counts, where memory is limited.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # A thread that spins while it waits takes the core from the process that it shares it with: on two
    # busy cores an evaluation took four times as long.
    "OMP_WAIT_POLICY": "passive",
    # numpy's BLAS, which multiplies nothing large here, and pyarrow's malloc start threads when they are
    # loaded: in the process that runners are forked from (worker/forkserver.py) there may be none.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
