"""The process that reads the inputs: what kills it, kills nothing else."""

import faulthandler
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from core.data.process_limits import process_limits
from core.errors import DataError
from tests.fuzz.inputs import generate
from tests.fuzz.seeds import PACKERS, TARGETS
from tests.fuzz.target import Read

#: Of CPU time, which other work on the machine does not lengthen.
SECONDS = 2.0
GROWTH_BYTES = 256 * 2**20
#: What reading an input may take over what is held before; less than the growth that is a finding.
MEMORY_BYTES = 192 * 2**20
CPU_SECONDS = 60
REPORT_SECONDS = 0.5
INPUT, INDEX, ERRORS = "input", "index", "errors"


@dataclass
class Finding:
    """`place` tells findings apart; equal ones are counted once."""

    index: int
    place: str
    text: str


@dataclass
class Tally:
    """What came of the inputs since the last report.

    Attributes:
        slowest: seconds of CPU time, and the number of the input.
        growth: bytes of memory over what the seeds needed.
    """

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    growth: int = 0
    findings: list[Finding] = field(default_factory=list)


def run(name: str, seed: int, first: int, last: int, folder: Path, reports: Connection, read: Read) -> None:
    """Read inputs `first` up to `last`, each written to the folder before it is read."""
    errors = os.open(folder / ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, sys.stderr.fileno())  # libraries complain of each broken input
    faulthandler.enable()
    warnings.simplefilter("ignore")
    target = TARGETS[name]
    work = folder / "work"
    work.mkdir(exist_ok=True)
    path = folder / INPUT
    for one in target.seeds:
        path.write_bytes(PACKERS[one.container](one.files))
        found = read(path, work, single_image=target.single_image)
        assert found == "accepted", f"a seed of {name} is refused: {found}"
    # Reading leaves no descriptor open, so their number stays what it is now.
    descriptors, memory = len(list(Path("/proc/self/fd").iterdir())), _memory("VmHWM")
    limit = _memory("VmData") + MEMORY_BYTES
    index_file = os.open(folder / INDEX, os.O_WRONLY | os.O_CREAT)
    descriptors += 1

    reports.send(Tally())  # ready
    tally, reported = Tally(), time.monotonic()
    for index in range(first, last):
        data = generate(name, seed, index)
        os.pwrite(index_file, index.to_bytes(8, "little"), 0)
        path.write_bytes(data)
        start = time.process_time()
        try:
            with process_limits(memory_bytes=limit, cpu_seconds=CPU_SECONDS):
                tally.outcomes[read(path, work, single_image=target.single_image)] += 1
        except DataError as error:
            tally.outcomes[error.code] += 1
        except Exception as error:
            tally.findings.append(_raised(index, error))
        seconds = time.process_time() - start
        tally.inputs += 1
        tally.slowest = max(tally.slowest, (seconds, index))
        tally.growth = _memory("VmHWM") - memory
        if seconds > SECONDS:
            tally.findings.append(Finding(index, "slow", f"took {seconds:.1f} s; the limit is {SECONDS:g}"))
        if tally.growth > GROWTH_BYTES:
            grown = f"memory grew by {tally.growth / 2**20:,.0f} MiB; the limit is {GROWTH_BYTES // 2**20}"
            tally.findings.append(Finding(index, "memory", grown))
            break  # the peak never falls, so a new process goes on
        if time.monotonic() - reported > REPORT_SECONDS:
            reports.send(tally)
            tally, reported = Tally(), time.monotonic()
    left = len(list(Path("/proc/self/fd").iterdir())) - descriptors
    if left > 0:
        tally.findings.append(Finding(first, "descriptors", f"{left} file descriptors were left open"))
    reports.send(tally)
    reports.send(None)


def _memory(name: str) -> int:
    # Not getrusage: its peak begins with that of the process which started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) * 1024


def _raised(index: int, error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/core/" in frame.filename] or list(frames)
    place = f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}"
    return Finding(index, place, "".join(traceback.format_exception(error)))
