"""`python -m bench.cost`: what an iteration costs by classes and image size, and in memory.

Each cell is measured in a process of its own, started as the service starts its runners, so that its peak
of memory is its own. Small batches and a narrow network keep all of it within minutes; what is of interest is
how the cost grows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from bench.machine import machine
from bench.page import write_section
from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.images import LabelledImages
from core.engine.networks.depth import default_depth
from core.kinds.device import make_deterministic
from worker.runner_environment import RUNNER_ENVIRONMENT

ROOT = Path(__file__).parents[1]
CLASSES = (10, 50, 200)
SIDES = (32, 64, 128)
PER_CLASS = 32
WIDTH, BATCH_REAL, IPC = 8, 16, 1
TIMED = 2
"""Iterations, after one that warms up."""

LARGE_CLASSES, LARGE_PER_CLASS, LARGE_SIDE = 1_000, 1_200, 64
"""A set of ImageNet's size, as it is often condensed."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """seconds: median of an iteration. Memory in bytes: resident before the first iteration, and at most.

    mapped: how much of what is resident at the end are pages of the memory-mapped images. They grow with
    every image that is read, and the system takes them back when memory is short.
    """

    classes: int
    per_class: int
    side: int
    seconds: float
    before: int
    peak: int
    mapped: int
    threads: int

    @property
    def images(self) -> int:
        """That an iteration computes on; a synthetic one counts thrice, as it goes back, too."""
        return self.classes * (BATCH_REAL + 3 * IPC)

    @property
    def nanoseconds(self) -> float:
        """Of one pixel of one image."""
        return self.seconds / (self.images * self.side**2) * 1e9

    @property
    def set_bytes(self) -> int:
        return self.classes * self.per_class * self.side**2 * 3


def measure(classes: int, per_class: int, side: int) -> Cell:
    """In this process: iterate on a memory-mapped set whose file is one hole, and so needs no disk.

    Raises:
        RuntimeError: a system without /proc, which tells the peak of memory.
    """
    make_deterministic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images"
        shape = (classes * per_class, side, side, 3)
        with path.open("wb") as file:
            file.truncate(int(np.prod(shape, dtype=np.int64)))
        images_NHWC = np.memmap(path, np.uint8, "r", shape=shape)
        labels_N = np.arange(len(images_NHWC), dtype=np.int64) % classes
        real = LabelledImages(images_NHWC, labels_N, (0.5,) * 3, (0.25,) * 3, classes)
        # Of noise: all synthetic images alike, as the real ones of a hole are, would be no usual numbers.
        config = CondenseConfig(
            ipc=IPC,
            iterations=1 + TIMED,
            batch_real=BATCH_REAL,
            init="noise",
            network=NetworkConfig(width=WIDTH),
        )
        before, files, seconds = _memory("VmRSS"), _memory("RssFile"), []
        began = time.perf_counter()
        for _ in condense(real, config):
            seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
        mapped = _memory("RssFile") - files
    return Cell(
        classes=classes, per_class=per_class, side=side, seconds=median(seconds[1:]),
        before=before, peak=_memory("VmHWM"), mapped=mapped, threads=torch.get_num_threads(),
    )  # fmt: skip


def _memory(field: str) -> int:
    """Bytes: VmRSS, resident now, RssFile, of it pages of files, or VmHWM, resident at most so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise RuntimeError(
            "/proc/self/status is not there: this system does not tell a process's peak of memory"
        )
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def in_a_process(classes: int, per_class: int, side: int) -> Cell:
    """`measure`, in a fresh process under the runner's environment.

    Raises:
        RuntimeError: the process failed.
    """
    done = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-m", "bench.cost", *map(str, (classes, per_class, side))],
        cwd=ROOT, env={**os.environ, **RUNNER_ENVIRONMENT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"bench: {classes} classes of {side} px: {done.stderr.strip()}")
    return Cell(**json.loads(done.stdout))


def section(cells: list[Cell], large: Cell) -> str:
    """Markdown."""
    rows = "\n".join(
        f"| {cell.classes} | {cell.side} | {default_depth(cell.side, cell.side)} | {cell.seconds:.3f} | "
        f"{cell.nanoseconds:.1f} | {_mib(cell.before)} | {_mib(cell.peak)} | "
        f"{_mib(cell.mapped)} |"
        for cell in cells
    )
    low, high = min(cell.nanoseconds for cell in cells), max(cell.nanoseconds for cell in cells)
    own = large.peak - large.before - large.mapped
    work = [cell.images * cell.side**2 for cell in cells]
    return f"""## Cost by classes and image size

| classes | px | blocks | s/iteration | ns per image and pixel | MiB before | MiB at most | of it mapped |
|---|---|---|---|---|---|---|---|
{rows}

An iteration of ConvNet of width {WIDTH} with batch_real {BATCH_REAL} and {IPC} synthetic image a class;
the median of {TIMED} after a warm-up, each row in a process of its own. An iteration computes on classes ×
(batch_real + 3 × IPC) images: real ones go forward, synthetic ones forward and back, which costs twice as
much again. Divided by those images and their pixels, the cost lies between {low:.1f} and {high:.1f} ns, a
factor of {high / low:.1f}, while the work grows {max(work) // min(work):,}-fold. Memory is what is resident:
before the first iteration (libraries and labels), and at most; of it, pages of the memory-mapped images,
which the system takes back when memory is short.

**A set that does not fit into memory.** {large.classes * large.per_class:,} images of {large.side} px in
{large.classes:,} classes, memory-mapped: {large.set_bytes / 1e9:.1f} GB (a file with a hole for content, so
this says nothing of a disk's speed). {1 + TIMED} iterations at {large.seconds:.2f} s each; resident at most
{_mib(large.peak)} MiB: {_mib(large.before)} MiB before the first, {_mib(large.mapped)} MiB of mapped pages,
which grow with the images read and can be taken back, and {_mib(own)} MiB of the iteration's own, which do
not depend on how many images the set has.

**Machine.** {machine()}; {large.threads} threads."""


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f}"


def main() -> None:
    """Measure, write the section."""
    cells = []
    for classes in CLASSES:
        for side in SIDES:
            cells.append(in_a_process(classes, PER_CLASS, side))
            sys.stderr.write(f"{classes} classes of {side} px: {cells[-1].seconds:.3f} s/iteration\n")
    large = in_a_process(LARGE_CLASSES, LARGE_PER_CLASS, LARGE_SIDE)
    write_section("cost", section(cells, large))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asdict(measure(*map(int, sys.argv[1:])))))  # noqa: T201
    else:
        main()
