"""Runs a target's inputs in children, one after the other, and keeps what goes wrong."""

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from tests.fuzz.child import ERRORS, INDEX, INPUT, Finding, Tally, run
from tests.fuzz.inputs import generate
from tests.fuzz.target import Read, outcome
from worker.runner_environment import RUNNER_ENVIRONMENT

#: A child that says nothing for so long hangs inside a library.
SILENCE_SECONDS = 30.0
#: Until a child has loaded the libraries and read the seeds, on a busy machine.
START_SECONDS = 120.0
SHARED_MEMORY = Path("/dev/shm")


@dataclass
class Report:
    """Of one target; `findings` are told apart by their place."""

    target: str
    total: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    findings: dict[str, tuple[Finding, Path]] = field(default_factory=dict)

    def __str__(self) -> str:
        total = self.total
        accepted = total.outcomes["accepted"]
        refused = sorted(
            ((n, code) for code, n in total.outcomes.items() if code != "accepted"), reverse=True
        )
        rate = total.inputs / max(self.seconds, 1e-9)
        slowest, index = total.slowest
        return (
            f"{self.target}: {total.inputs:,} inputs in {self.seconds:.0f} s ({rate:,.0f}/s), "
            f"{accepted:,} accepted, slowest {slowest:.3f} s (input {index}), "
            f"memory +{total.growth / 2**20:.0f} MiB, {len(self.findings)} findings\n"
            f"  refused: {', '.join(f'{code} {count:,}' for count, code in refused) or 'none'}"
        )


def fuzz(
    name: str,
    *,
    inputs: int,
    seed: int = 0,
    seconds: float | None = None,
    findings: Path,
    log: Callable[[str], None] = print,
    read: Read = outcome,
    silence: float = SILENCE_SECONDS,
) -> Report:
    """Read that many inputs of the target, or as many as fit into the seconds.

    Args:
        findings: the folder for inputs that went wrong; made when there is one.
        log: called for each finding, with the line that reproduces it.
        read: a function of a module, because another process calls it.
        silence: seconds that a child may hang.
    """
    report, start = Report(name), time.monotonic()
    first = 0
    folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    try:
        while first < inputs and (seconds is None or time.monotonic() - start < seconds):
            left = None if seconds is None else seconds - (time.monotonic() - start)
            first = _one_child(report, seed, first, inputs, folder, left, findings, log, read, silence)
    finally:
        shutil.rmtree(folder)
    report.seconds = time.monotonic() - start
    return report


def _one_child(
    report: Report,
    seed: int,
    first: int,
    last: int,
    folder: Path,
    seconds: float | None,
    findings: Path,
    log: Callable[[str], None],
    read: Read,
    silence: float,
) -> int:
    """Returns the number of the first input that is still to be read."""
    context = multiprocessing.get_context("spawn")
    reports, sender = context.Pipe(duplex=False)
    (folder / INDEX).write_bytes(first.to_bytes(8, "little"))
    child = context.Process(target=run, args=(report.target, seed, first, last, folder, sender, read))
    with patch.dict(os.environ, ARROW_DEFAULT_MEMORY_POOL=RUNNER_ENVIRONMENT["ARROW_DEFAULT_MEMORY_POOL"]):
        child.start()
    sender.close()
    start = time.monotonic()
    done, died, timeout = 0, None, START_SECONDS
    try:
        while True:
            tally, died = _next(reports, timeout)
            timeout = silence
            if tally is None:
                break
            done += tally.inputs
            _add(report, tally)
            for finding in tally.findings:
                _keep(report, finding, generate(report.target, seed, finding.index), findings, log)
            if seconds is not None and time.monotonic() - start > seconds:
                break
        child.join(0.0 if died is None else 5.0)
    finally:
        child.kill()
        child.join()
    if died is None:
        return first + done
    if child.exitcode == 1:
        raise RuntimeError(
            f"the fuzzer itself failed:\n{(folder / ERRORS).read_text(errors='replace')[-4000:]}"
        )
    index = int.from_bytes((folder / INDEX).read_bytes(), "little")
    # Input `index` was being read; those since the last report count too, but what came of them is lost.
    report.total.inputs += index + 1 - first - done
    text = f"{died} (exit status {child.exitcode})\n{(folder / ERRORS).read_text(errors='replace')[-4000:]}"
    _keep(report, Finding(index, died, text), (folder / INPUT).read_bytes(), findings, log)
    return index + 1


def _next(reports: Connection, silence: float) -> tuple[Tally | None, str | None]:
    """The next tally, or None and, unless the child is through, how it died."""
    try:
        if not reports.poll(silence):
            return None, "the process hung"
        tally: Tally | None = reports.recv()
    except EOFError:
        return None, "the process died"
    return tally, None


def _add(report: Report, tally: Tally) -> None:
    total = report.total
    total.inputs += tally.inputs
    total.outcomes += tally.outcomes
    total.slowest = max(total.slowest, tally.slowest)
    total.growth = max(total.growth, tally.growth)


def _keep(report: Report, finding: Finding, data: bytes, folder: Path, log: Callable[[str], None]) -> None:
    if finding.place in report.findings:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.target}-{finding.index}"
    path.write_bytes(data)
    report.findings[finding.place] = finding, path
    log(f"{report.target}: {finding.place}\n{finding.text}\n  python -m tests.fuzz --reader {report.target} "
         f"--replay {path}")  # fmt: skip
