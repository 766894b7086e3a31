"""`python -m bench.soak [--hours H]`: a service at work for as long as you like, and what it leaks.

Round after round one small set is uploaded, read in, condensed, evaluated, downloaded and deleted; besides,
jobs are paused, resumed and cancelled, uploads and downloads are broken off, and streams are left. After each
round, when all is done, what the service's processes hold is counted. What it holds more of at the end than
after the first rounds, it leaks.
"""

import argparse
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import make_url

from bench.machine import machine
from bench.page import write_section
from bench.upload import resident
from condensery import Client
from examples.digits import write_zip
from tests.support.databases import empty_postgres
from tests.support.processes import descendants, wait_for
from tests.support.servers import postgres, redis_server
from tests.support.service import Service

HOURS = 24.0
#: In which modules are loaded, pools filled, and caches.
FIRST_ROUNDS = 5
JOB: dict[str, Any] = {
    "ipc": 1,
    "iterations": 20,
    "batch_real": 32,
    "network": {"width": 8, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 2, "baselines": ["random"]},
}
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the service holds while it has nothing to do. Memory in bytes, of API and of all of the worker."""

    api_files: int
    worker_files: int
    processes: int
    temporary_files: int
    blobs: int
    rows: int
    api_memory: int
    worker_memory: int


#: What must not grow at all.
COUNTED = [one.name for one in fields(Held) if not one.name.endswith("memory")]


def main(arguments: list[str]) -> int:
    """Soak, print and write the section. Exit status 1 if something leaked."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--hours", type=float, default=HOURS, help=f"default {HOURS:g}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        database = stack.enter_context(empty_postgres(stack.enter_context(postgres())))
        broker = stack.enter_context(redis_server())
        service = Service(
            Path(name) / "data",
            CONDENSERY_DEVICE="cpu",
            CONDENSERY_DATABASE_URL=make_url(database).render_as_string(hide_password=False),
            CONDENSERY_BROKER_URL=broker,
        )
        stack.callback(service.stop)
        service.start()
        write_zip(Path(name) / "digits.zip")
        seen = _soak(service, Path(name), options.hours * 3600)
    text = section(seen, options.hours)
    print(text)  # noqa: T201
    write_section("soak", text)
    return 1 if leaks(seen) else 0


def _soak(service: Service, folder: Path, seconds: float) -> list[Held]:
    end = time.monotonic() + seconds
    seen: list[Held] = []
    with service.client() as client:
        while time.monotonic() < end or len(seen) < 3 * FIRST_ROUNDS:
            _round(service, client, folder, len(seen))
            seen.append(_held_at_rest(service))
            print(f"{len(seen)}: {seen[-1]}", flush=True)  # noqa: T201
    return seen


def _round(service: Service, client: Client, folder: Path, number: int) -> None:
    upload = client.upload(folder / "digits.zip")
    dataset = client.datasets.add(upload).wait()
    job = client.jobs.submit(dataset, seed=number, **JOB).wait()
    for artifact in job.artifacts():
        artifact.download(folder / f"{number}-{artifact.id}").unlink()
    _leave(service, f"/v1/artifacts/{job.artifact().id}/content", after=100)
    _leave(service, f"/v1/jobs/{job.id}/events/stream", after=100)
    _break_off(service)
    disturbed = client.jobs.submit(dataset, seed=number, **{**JOB, "iterations": 1_000_000})
    next(event for event in disturbed.events() if event.type == "running")
    disturbed.pause()
    next(event for event in disturbed.events() if event.type == "paused")
    disturbed.resume()
    _leave(service, f"/v1/jobs/{disturbed.id}/events/stream", after=100)
    disturbed.cancel()
    *_, last = disturbed.events()
    if last.type != "cancelled":
        raise RuntimeError(f"bench: {disturbed.id} was cancelled and ended with {last.type}")
    for one in (job, disturbed, dataset):
        one.delete()
    client.delete(f"/v1/uploads/{upload.id}")


def _leave(service: Service, path: str, after: int) -> None:
    """Hang up in the middle of an answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        client.recv(after)


def _break_off(service: Service) -> None:
    """Hang up in the middle of an upload, which then never was."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        head = "PUT /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        client.sendall(head.encode() + bytes(MIB // 2))


def _held_at_rest(service: Service) -> Held:
    """Once that is the same twice, a second apart: what ended a moment ago may still be closing."""
    seen = [_held(service)]

    def rests() -> bool:
        seen.append(_held(service))
        return all(getattr(seen[-1], name) == getattr(seen[-2], name) for name in COUNTED)

    wait_for(rests, seconds=60, every=1)
    return seen[-1]


def _held(service: Service) -> Held:
    worker = [service.worker_pid, *descendants(service.worker_pid)]
    return Held(
        api_files=_open_files([service.api_pid]),
        worker_files=_open_files(worker),
        processes=len([service.api_pid, *descendants(service.api_pid)]) + len(worker),
        temporary_files=len(service.temporary()) + len(service.partial()),
        blobs=len(service.blobs()),
        rows=sum(service.rows().values()),
        api_memory=resident(service.api_pid, "VmRSS"),
        worker_memory=sum(_memory(pid) for pid in worker),
    )


def _open_files(pids: list[int]) -> int:
    count = 0
    for pid in pids:
        try:
            count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except FileNotFoundError:
            continue
    return count


def _memory(pid: int) -> int:
    try:
        return resident(pid, "VmRSS")
    except (FileNotFoundError, StopIteration):
        return 0


def _between(seen: list[Held]) -> list[tuple[str, float, float]]:
    """Of each thing: the median of the rounds after the first, and that of as many last ones."""
    settled = seen[FIRST_ROUNDS:]
    part = max(FIRST_ROUNDS, len(settled) // 4)
    first, last = (zip(*map(astuple, some), strict=True) for some in (settled[:part], settled[-part:]))
    names = [one.name for one in fields(Held)]
    return [(name, median(a), median(b)) for name, a, b in zip(names, first, last, strict=True)]


def leaks(seen: list[Held]) -> list[str]:
    """What is more at the end, of what must not grow."""
    return [name for name, first, last in _between(seen) if name in COUNTED and last > first]


def section(seen: list[Held], hours: float) -> str:
    """Markdown."""
    rows = []
    for name, first, last in _between(seen):
        what = name.replace("_", " ")
        if name.endswith("memory"):
            rows.append(f"| {what} | {first / MIB:.0f} MiB | {last / MIB:.0f} MiB | |")
        else:
            rows.append(f"| {what} | {first:g} | {last:g} | {'no' if last <= first else '**yes**'} |")
    lines = "\n".join(rows)
    return f"""## What a service at work leaks

| held while nothing is done | first rounds | last rounds | grew |
|---|---:|---:|---|
{lines}

`python -m bench.soak --hours {hours:g}`: {len(seen)} rounds on PostgreSQL and Redis. In each a set is
uploaded, read in, condensed, evaluated, downloaded in every format and deleted; a job is paused, resumed and
cancelled; an upload, a download and two event streams are broken off. Medians of the first and the last
quarter of the rounds, without the first {FIRST_ROUNDS}. The goal: no file, process,
blob or row more in 24 hours.

**Machine.** {machine()}."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
