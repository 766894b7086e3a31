"""The process that reads the inputs: what kills it, kills nothing else."""

import faulthandler
import os
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.inputs import generate
from tests.fuzz.seeds import PACKERS, TARGETS
from tests.fuzz.target import Read

SECONDS = 2.0
GROWTH_BYTES = 256 * 2**20
ADDRESS_SPACE_BYTES = 8 * 2**30
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
        slowest: seconds, and the number of the input.
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
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    target = TARGETS[name]
    work = folder / "work"
    work.mkdir(exist_ok=True)
    path = folder / INPUT
    for one in target.seeds:
        path.write_bytes(PACKERS[one.container](one.files))
        found = read(path, work, single_image=target.single_image)
        assert found == "accepted", f"a seed of {name} is refused: {found}"
    # Reading leaves no descriptor open, so their number stays what it is now.
    descriptors, memory = len(list(Path("/proc/self/fd").iterdir())), _peak()
    index_file = os.open(folder / INDEX, os.O_WRONLY | os.O_CREAT)
    descriptors += 1

    reports.send(Tally())  # ready
    tally, reported = Tally(), time.monotonic()
    for index in range(first, last):
        data = generate(name, seed, index)
        os.pwrite(index_file, index.to_bytes(8, "little"), 0)
        path.write_bytes(data)
        start = time.perf_counter()
        try:
            tally.outcomes[read(path, work, single_image=target.single_image)] += 1
        except Exception as error:
            tally.findings.append(_raised(index, error))
        seconds = time.perf_counter() - start
        tally.inputs += 1
        tally.slowest = max(tally.slowest, (seconds, index))
        tally.growth = _peak() - memory
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


def _peak() -> int:
    # Not getrusage: its peak begins with that of the process which started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def _raised(index: int, error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/core/" in frame.filename] or list(frames)
    place = f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}"
    return Finding(index, place, "".join(traceback.format_exception(error)))
