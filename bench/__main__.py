"""`make bench`: our loop against the official one's way of working, on this machine's CPU.

Two processes take turns, A B A B …, so that whatever else the machine does meets both. Each side runs under
its users' environment: ours as the service starts its runners, the other with the defaults of allocator and
OpenMP.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.page import write_section
from bench.report import Timing, markdown, table
from bench.side import UNITS
from worker.runner_environment import RUNNER_ENVIRONMENT

ROOT = Path(__file__).parents[1]
PAIRS = 5


class Side:
    """A process of `bench.side`, working only while it is asked to."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "bench.side", name],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.threads = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Popen closes the pipes and waits: at the end of its input the process ends by itself.
        self._process.__exit__(kind, error, trace)

    def seconds(self, unit: str) -> float:
        """Do the unit once.

        Raises:
            RuntimeError: the process died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(unit + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"bench: the process ended with status {self._process.wait()} in {unit!r}")
        done = json.loads(answer)
        self.threads = int(done["threads"])
        return float(done["seconds"])


def main() -> None:
    """Measure, print, write the section of docs/performance.md."""
    default = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "OMP_"))}
    timings = []
    with Side("ours", {**default, **RUNNER_ENVIRONMENT}) as ours, Side("official", default) as official:
        for unit in UNITS:
            # The first pair warms up.
            pairs = [(ours.seconds(unit), official.seconds(unit)) for _ in range(1 + PAIRS)][1:]
            timings.append(Timing(unit, pairs))
            print(f"{unit}: {len(pairs)} pairs", file=sys.stderr)
        threads = (ours.threads, official.threads)
    print(table(timings))
    write_section("speed", markdown(timings, threads))


if __name__ == "__main__":
    main()
