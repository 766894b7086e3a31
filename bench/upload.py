"""`python -m bench.upload [--size-mb N]`: a plain upload against `sha256sum` and `cp` of the same file.

The server is a process of its own, as delivered, with a data directory beside the file; curl sends. The two
ways take turns, so that whatever else the machine does meets both. `cp` is followed by an fsync of the copy,
since an upload is synced before it is answered.
"""

import argparse
import json
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.machine import machine
from bench.page import write_section
from tests.support.service import Service

PAIRS = 5
AT_ONCE = 4
MB = 1_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Seconds that each took on the same file, one right after the other."""

    upload: float
    parallel: float
    """The same bytes in four uploads at once."""
    sha256sum: float
    cp: float

    @property
    def ratio(self) -> float:
        return self.upload / (self.sha256sum + self.cp)

    @property
    def shared(self) -> float:
        """The rate of four at once, together, by that of one."""
        return self.upload / self.parallel


def write_file(path: Path, size: int) -> None:
    """`size` bytes that no file system compresses away, on disk and in the page cache."""
    with Path("/dev/urandom").open("rb") as source, path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(source.read(min(_BLOCK, size - start)))
    _run("sync", str(path))


def write_parts(file: Path) -> list[Path]:
    """A quarter of the file in each."""
    parts = [file.with_suffix(f".{n}") for n in range(AT_ONCE)]
    with file.open("rb") as source:
        for part in parts:
            part.write_bytes(source.read(file.stat().st_size // AT_ONCE))
            _run("sync", str(part))
    return parts


def measure(service: Service, file: Path, parts: list[Path]) -> Pair:
    """One pair: upload and delete, in one and in parts at once, `sha256sum`, `cp` and `sync` of the copy.

    Raises:
        RuntimeError: the server answers with another digest than `sha256sum`.
        subprocess.CalledProcessError: a command failed.
    """
    began = time.perf_counter()
    answer = json.loads(_run("curl", "-sSf", "-T", str(file), f"{service.url}/v1/uploads"))
    uploaded = time.perf_counter() - began
    _run("curl", "-sSf", "-X", "DELETE", f"{service.url}/v1/uploads/{answer['id']}")

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(
            pool.map(lambda part: _run("curl", "-sSf", "-T", str(part), f"{service.url}/v1/uploads"), parts)
        )
    in_parts = time.perf_counter() - began
    for one in sent:
        _run("curl", "-sSf", "-X", "DELETE", f"{service.url}/v1/uploads/{json.loads(one)['id']}")

    began = time.perf_counter()
    digest = _run("sha256sum", str(file)).split()[0]
    hashed = time.perf_counter() - began
    if digest != answer["sha256"]:
        raise RuntimeError(f"bench: the server received {answer['sha256']}, sha256sum says {digest}")

    copy = file.with_suffix(".copy")
    began = time.perf_counter()
    _run("cp", str(file), str(copy))
    _run("sync", str(copy))
    copied = time.perf_counter() - began
    copy.unlink()
    return Pair(upload=uploaded, parallel=in_parts, sha256sum=hashed, cp=copied)


def resident(pid: int, field: str) -> int:
    """Bytes: VmRSS, resident now, or VmHWM, resident at most so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def table(size: int, pairs: list[Pair], grown: int) -> str:
    """Markdown: medians, and how much more memory the server held at most than before."""
    upload, hashed, copied = (
        median(getattr(one, name) for one in pairs) for name in ("upload", "sha256sum", "cp")
    )
    ratios = sorted(one.ratio for one in pairs)
    shared = sorted(one.shared for one in pairs)
    return f"""## Receiving uploads

| | seconds | MB/s |
|---|---|---|
| `curl -T`, stored, hashed and synced | {upload:.2f} | {size / MB / upload:.0f} |
| `sha256sum` | {hashed:.2f} | {size / MB / hashed:.0f} |
| `cp`, and fsync of the copy | {copied:.2f} | {size / MB / copied:.0f} |

`sha256sum` is that of coreutils. {size / MB:,.0f} MB, medians of {len(pairs)} alternating pairs. Upload ÷
(`sha256sum` + `cp`): median
{median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}. The same bytes in {AT_ONCE} uploads at once:
{median(shared):.2f} times the rate of one, from {shared[0]:.2f} to {shared[-1]:.2f} (goal: at least 0.8). The
server's memory grew by {grown / 2**20:.1f} MiB.

**Machine.** {machine()}."""


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.upload", description=__doc__)
    arguments.add_argument("--size-mb", type=int, default=1000, help="of the file, in 10^6 bytes")
    arguments.add_argument("--folder", type=Path, help="on the disk to measure; default: the temporary one")
    chosen = arguments.parse_args()
    size = chosen.size_mb * MB
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        file = Path(folder) / "file"
        service = Service(Path(folder) / "data")
        service.migrate()
        service.start_api()
        try:
            write_file(file, 2 * _BLOCK)
            measure(service, file, write_parts(file))  # loads whatever is loaded only once
            write_file(file, size)
            parts = write_parts(file)
            before = resident(service.api_pid, "VmRSS")
            pairs = [measure(service, file, parts) for _ in range(PAIRS)]
            grown = resident(service.api_pid, "VmHWM") - before
        finally:
            service.stop()
    text = table(size, pairs, grown)
    print(text)  # noqa: T201
    write_section("upload", text)


if __name__ == "__main__":
    main()
