"""`python -m bench.ingest [--data FOLDER]`: images per second and memory of reading data sets in.

The real sets are read as they are published, from a folder with FashionMNIST/, cifar-10-python.tar.xz and
imagenette224-mini.zip; those that are missing are left out. Then one set of photograph-like JPEG files is
made and read in every container and layout, so that the formats can be compared. Each is read by a process of
its own, whose peak of memory and share of the cores are then its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.ingest_once import Reading
from bench.ingest_sets import made_sets, real_sets
from bench.machine import machine
from bench.page import write_section

ROOT = Path(__file__).parents[1]
RUNS = 3
MIB = 2**20
MADE_SIDE, MADE_SIZE, MADE_IMAGES = 160, 64, 20_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """A set, its bytes, and its runs."""

    name: str
    size: int
    readings: list[Reading]


def in_a_process(source: Path, image_size: int | None) -> Reading:
    """`measure`, in a fresh process.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-m", "bench.ingest_once", str(source), str(image_size or 0)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"bench: {source.name}: {done.stderr.strip()}")
    return Reading(**json.loads(done.stdout))


def section(rows: list[Row]) -> str:
    """Markdown: of each set the median run."""
    lines = []
    for row in rows:
        middle = median(one.seconds for one in row.readings)
        one = next(one for one in row.readings if one.seconds == middle)
        lines.append(
            f"| {row.name} | {row.size / MIB:,.0f} MiB | {one.images:,} | {one.image_size} "
            f"| {one.seconds:.2f} | {one.images / one.seconds:,.0f} "
            f"| {one.processor_seconds / one.seconds:.2f} "
            f"| {max(each.peak for each in row.readings) / MIB:.0f} MiB |"
        )
    return f"""## Reading data sets in

| set | size | images | px | seconds | images/s | cores busy | peak memory |
| --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(lines)}

Median of {RUNS} runs, the peak the highest of them, libraries included. From the uploaded file to the
canonical form with its report: detecting, decoding, resizing, hashing, writing. Each image of the made set is
a JPEG of {MADE_SIDE} px, read at {MADE_SIZE} px. CIFAR-10's time is mostly that of expanding xz, which no
second core helps with.

**Machine.** {machine()}."""


def size_of(source: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if source.is_file():
        return source.stat().st_size
    return sum(path.stat().st_size for path in source.rglob("*") if path.is_file())


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    arguments.add_argument("--data", type=Path, help="folder with the real sets")
    arguments.add_argument("--images", type=int, default=MADE_IMAGES, help="of the made set")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sets: list[tuple[str, Path, int | None]] = []
        if chosen.data:
            sets += [(name, source, None) for name, source in real_sets(chosen.data, work)]
        made = made_sets(work, images=chosen.images, side=MADE_SIDE)
        sets += [(name, source, MADE_SIZE) for name, source in made]
        rows = []
        for name, source, image_size in sets:
            readings = [in_a_process(source, image_size) for _ in range(RUNS)]
            rows.append(Row(name=name, size=size_of(source), readings=readings))
            print(name, *(f"{one.images / one.seconds:,.0f}/s" for one in readings), flush=True)  # noqa: T201
    write_section("ingest", section(rows))


if __name__ == "__main__":
    main()
