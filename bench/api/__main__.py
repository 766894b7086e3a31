"""`python -m bench.api`: measure the API beside what it is compared with, print, and write the section.

Needs PostgreSQL, Redis, curl and wrk, and for the comparison of downloads nginx (Debian: postgresql,
redis-server, curl, wrk, nginx-light). It starts all servers itself and takes about half an hour.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.api import claims, downloads, mixed, overload, reads, rejections, report, streams, waiting
from bench.api.stage import stage
from bench.page import write_section

#: Of everything at once.
MIXED_MINUTES = 10


def main() -> int:
    """Measure everything once, the quick things first."""
    for program in ("wrk", "curl"):
        if shutil.which(program) is None:
            print(f"bench: {program} is not installed (Debian package {program})", file=sys.stderr)
            return 2
    busy = os.getloadavg()[0]
    began = time.monotonic()

    def note(what: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory() as name, stage(Path(name)) as made:
        note("refused uploads")
        refused = rejections.measure(made)
        note("downloads")
        fetched = downloads.measure(made, Path(name))
        if fetched is None:
            print("        nginx is not installed: left out")
        note("reads and submissions")
        requests = reads.measure(made, Path(name))
        note("claims")
        claimed = claims.measure(made)
        note("event streams")
        streaming = streams.measure(made)
        note("pages of long histories")
        pages = reads.measure_pages(made)
        note("far too many connections")
        overloaded = overload.measure(made)
        note(f"everything at once, {MIXED_MINUTES} minutes")
        together = mixed.measure(made, MIXED_MINUTES)
    with tempfile.TemporaryDirectory() as name:
        note("from submission to work")
        waited = waiting.measure(Path(name))
        note("done")
    found = report.Findings(
        requests=requests,
        claims=claimed,
        pages=pages,
        downloads=fetched,
        rejections=refused,
        streams=streaming,
        overload=overloaded,
        mixed=together,
        waiting=waited,
    )
    text = report.section(found, busy)
    print(text)
    write_section("api", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
