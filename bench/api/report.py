"""The section of docs/performance.md: each goal, what was measured, and whether it is met."""

import shutil
import subprocess
from dataclasses import dataclass
from statistics import median

from bench.api import claims, downloads, mixed, reads, rejections, streams, waiting
from bench.api.downloads import Downloads, ratio
from bench.api.mixed import Mixed
from bench.api.overload import CALM, MANY, TOO_MANY, Overload
from bench.api.reads import Page, Requests
from bench.api.rejections import Rejection
from bench.api.streams import Streaming
from bench.api.waiting import Waiting
from bench.api.wrk import Load
from bench.machine import machine

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that one run measured."""

    requests: Requests
    claims: claims.Claims
    pages: dict[str, Page]
    downloads: Downloads | None
    rejections: list[Rejection]
    streams: Streaming
    overload: Overload
    mixed: Mixed
    waiting: dict[str, Waiting]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _rates(loads: list[Load]) -> str:
    rate, p99 = median(one.rate for one in loads), median(one.p99 for one in loads)
    return f"{rate:,.0f}/s, p99 {_ms(p99)}"


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"


def ratios(found: Findings) -> list[tuple[str, str, str, bool]]:
    """What, goal, measured, met."""
    asked, flow, overload, mixed = found.requests, found.streams, found.overload, found.mixed
    pairs = [ours.rate / bare.rate for ours, bare in asked.pairs]
    slowest = max(one.longest for one in found.rejections)
    rows = [
        ("job read ÷ bare read, rate", "≥ 0.7", _spread(pairs), asked.read_ratio >= 0.7),
        (
            "job submission ÷ bare read, p99",
            "≤ 5",
            f"{asked.submit_ratio:.2f}",
            asked.submit_ratio <= 5,
        ),
        (
            f"claim, {claims.LONG:,} ÷ {claims.SHORT} queued",
            "≤ 2",
            f"{found.claims.ratio:.2f} ({_ms(found.claims.short)} → {_ms(found.claims.long)})",
            found.claims.ratio <= 2,
        ),
    ]
    for what, page in found.pages.items():
        measured = f"{page.ratio:.2f} ({_ms(page.short)} → {_ms(page.long)})"
        rows.append(
            (f"page of {what}, {reads.LONG:,} ÷ {reads.SHORT:,} rows", "≤ 1.5", measured, page.ratio <= 1.5)
        )
    if found.downloads:
        for what, pair in (("whole", found.downloads.whole), ("range", found.downloads.part)):
            measured = (
                f"{_spread([ours / nginx for ours, nginx in pair])}; "
                f"{median(ours for ours, _ in pair) / 1e6:,.0f} and "
                f"{median(nginx for _, nginx in pair) / 1e6:,.0f} MB/s"
            )
            rows.append((f"download ÷ nginx, {what}", "≥ 0.8", measured, ratio(pair) >= 0.8))
    statuses = ", ".join(str(one.status) for one in found.rejections)
    rows += [
        (
            f"upload refused ({statuses}) after 64 KiB of body",
            "≤ 50 ms",
            f"longest {_ms(slowest)}",
            slowest <= 0.05,
        ),
        (
            f"{streams.STREAMS:,} event streams, 1 event/s each: lost, doubled, broken off",
            "0",
            f"{flow.lost:.0f}, {flow.doubled:.0f}, {flow.broken:.0f} of {flow.events:,}",
            not (flow.lost or flow.doubled or flow.broken),
        ),
        (
            "their delay, p99",
            "≤ 150 ms",
            f"{_ms(flow.p99)} (p50 {_ms(flow.p50)}, longest {_ms(flow.longest)})",
            flow.p99 <= 0.15,
        ),
        (f"{streams.MANY:,} streams at rest: broken off", "0", f"{flow.many_broken}", not flow.many_broken),
        ("memory of the API for each", "≤ 40 KiB", f"{flow.memory / KIB:.0f} KiB", flow.memory <= 40 * KIB),
        (
            f"job reads beside {streams.STREAMS:,} streams ÷ without, rate",
            "≥ 0.8",
            _spread(flow.ratios),
            median(flow.ratios) >= 0.8,
        ),
        *(
            (
                f"job reads over {count} connections ÷ over {CALM}, rate",
                "≥ 0.8",
                _spread(each),
                median(each) >= 0.8,
            )
            for count, each in ((MANY, overload.many), (TOO_MANY, overload.too_many))
        ),
        (
            "reads take at most 100 ms again after that",
            "≤ 5 s",
            f"{overload.recovered:.2f} s",
            overload.recovered <= 5,
        ),
        (
            "everything at once: failed requests; streams lost, broken off",
            "0",
            f"{mixed.load.errors} of {mixed.load.requests:,}; {mixed.lost}, {mixed.broken}",
            not (mixed.load.errors or mixed.lost or mixed.broken),
        ),
        (
            "memory of the API meanwhile",
            "≤ 1 MiB/min",
            f"{mixed.growth / MIB:+.1f} MiB/min",
            mixed.growth <= MIB,
        ),
    ]  # fmt: skip
    for kind, goals in waiting.GOALS.items():
        one = found.waiting[kind]
        rows.append(
            (
                f"from submission to an idle worker, {kind}",
                f"≤ {_ms(goals[0])}, longest ≤ {_ms(goals[1])}",
                f"{_ms(one.median)}, longest {_ms(one.longest)}",
                one.median <= goals[0] and one.longest <= goals[1],
            )
        )
    return rows


def absolute(found: Findings) -> list[tuple[str, str, str]]:
    """What, goal on an idle machine, measured."""
    asked = found.requests
    return [
        ("health, 16 connections", "≥ 4,000/s, p99 ≤ 15 ms", _rates([asked.health])),
        ("job read with a key", "≥ 1,200/s, p99 ≤ 25 ms", _rates([ours for ours, _ in asked.pairs])),
        ("bare read, for comparison", "", _rates([bare for _, bare in asked.pairs])),
        ("list of 50 jobs", "≥ 400/s, p99 ≤ 60 ms", _rates([asked.listed])),
        ("job submission, durable", "≥ 400/s, p99 ≤ 60 ms", _rates(asked.submits)),
        ("job submission, durable, embedded (SQLite)", "≥ 200/s", _rates(asked.embedded)),
        ("everything at once", "p99 ≤ 150 ms", _rates([found.mixed.load])),
    ]


def section(found: Findings, load_average: float) -> str:
    """Markdown."""
    first = "\n".join(
        f"| {what} | {goal} | {measured} | {'yes' if met else '**no**'} |"
        for what, goal, measured, met in ratios(found)
    )
    second = "\n".join(f"| {what} | {goal} | {measured} |" for what, goal, measured in absolute(found))
    without = "" if found.downloads else "\nnginx is not installed: downloads were not compared.\n"
    return f"""## The API under load

| | goal | measured | met |
|---|---|---|---|
{first}

| | goal, on an idle machine | measured |
|---|---|---|
{second}
{without}
One API process as delivered (`python -m api`), PostgreSQL with fsync, Redis, and the clients, all on this
machine. Requests are sent by wrk over {reads.CONNECTIONS} connections, medians of {reads.PAIRS} turns of
{reads.SECONDS} s; the bare endpoint (`bench/api/bare.py`) is FastAPI and SQLAlchemy at their defaults, one
read of the same row by primary key, under the same server, in turn with ours. The job that is read waits or
runs; once it is being evaluated, a read costs one query more. Downloads are {downloads.SIZE >> 20} MiB by
curl, and a range of {(downloads.PART[1] + 1 - downloads.PART[0]) >> 20} MiB, each {downloads.REPEATS} times a
turn over one connection. A refused upload announces more than {rejections.SENT >> 10} KiB and sends no more.
The streams' client is one process of asyncio; delays are from just before an event's transaction until the
client has it, over {streams.SECONDS} s; events are written while reads are measured without streams, too.
"Everything at once" is {mixed.CONNECTIONS} connections for {found.mixed.load.seconds / 60:.0f} min, half
reads of a job, a fifth lists of 50, a tenth each submissions, uploads and downloads of
{mixed.SIZE >> 20} MiB, beside {mixed.STREAMS} streams of an event a second; memory is compared between the
second and the last quarter. "From submission to an idle worker" is the median of {waiting.JOBS} jobs one
after the other, from the event `queued` to `running`.

Load average at the start: {load_average:.1f}. wrk {_version("wrk")}, nginx {_version("nginx")}.

**Machine.** {machine()}."""


def _version(program: str) -> str:
    if shutil.which("dpkg-query") is None:
        return "?"
    name = "nginx-common" if program == "nginx" else program
    command = ["dpkg-query", "-W", "-f", "${Version}", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    return done.stdout or "not a Debian package"
