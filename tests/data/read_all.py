"""`python -m tests.data.read_all FOLDER`: every case of a corpus through ingest, in one process of bounded means.

One line of JSON a case goes to standard output. Its working and temporary directories are the caller's
to look at afterwards.
"""

import json
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 (or its loading would count as the first case's time and memory)

from core.data.ingest import ingest
from core.data.limits import GIB
from core.data.process_limits import process_limits
from core.errors import CondenseryError
from tests.data.case import Case
from tests.data.corpus import CASES

MIB = 2**20
#: As delivered, and less than that.
MEMORY_BYTES, CPU_SECONDS = 4 * GIB, 60
BOUNDS = (
    (resource.RLIMIT_FSIZE, 512 * MIB),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_CPU, 300),
)


def _memory(field: str) -> int:
    """A field of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def _read(case: Case, folder: Path, out: Path) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is held now
    before, start = _memory("VmRSS"), time.process_time()
    code, context, detail = "accepted", {}, ""
    try:
        with process_limits(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS):
            ingest(folder / case.name, out, limits=case.limits)
    except CondenseryError as error:
        code, context, detail = error.code, error.context, error.detail
    except Exception:
        code, detail = "not refused but failed", traceback.format_exc()
    return {
        "name": case.name,
        "code": code,
        "context": context,
        "detail": detail,
        "seconds": time.process_time() - start,
        "growth": _memory("VmHWM") - before,
    }


def main(folder: Path) -> None:
    for kind, bound in BOUNDS:
        resource.setrlimit(kind, (bound, bound))
    for number, case in enumerate(CASES):
        # A folder that was there stays there and empty; one that was not is gone again.
        out = folder / f"out-{case.name}"
        if number % 2:
            out.mkdir()
        seen = _read(case, folder, out)
        seen["left"] = [path.name for path in out.iterdir()] if out.exists() else None
        seen["left_before"] = [] if number % 2 else None
        if out.exists() and not seen["left"]:
            out.rmdir()
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
