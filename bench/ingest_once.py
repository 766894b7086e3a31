"""One ingest in a process of its own, which loads nothing else: its peak of memory is that of ingesting."""

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from core.data.ingest import ingest
from core.data.limits import Limits


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Images written, their side in pixels, wall and processor seconds, most memory resident in bytes."""

    images: int
    image_size: int
    seconds: float
    processor_seconds: float
    peak: int


def measure(source: Path, image_size: int | None) -> Reading:
    """Read a set in, and forget it."""
    with tempfile.TemporaryDirectory() as folder:
        began, busy = time.perf_counter(), time.process_time()
        manifest = ingest(source, Path(folder) / "out", limits=Limits(), image_size=image_size)
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - busy
    # Not getrusage: its maximum includes that of the process which started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return Reading(
        images=sum(split.count for split in manifest.splits.values()),
        image_size=manifest.image_size,
        seconds=seconds,
        processor_seconds=processor_seconds,
        peak=peak,
    )


if __name__ == "__main__":
    path, side = sys.argv[1:]
    print(json.dumps(asdict(measure(Path(path), int(side) or None))))  # noqa: T201
