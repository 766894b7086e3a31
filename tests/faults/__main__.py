"""`python -m tests.faults [--runs N] [--case WORDS …] [--kind KIND] [--random-minutes M]`: the fault matrix.

Exit status 1 if a single run failed. What a failed run left is kept, and its folder named.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cases import BOTH, CASES, Case
from tests.faults.place import Place, place


@dataclass
class Tally:
    runs: int = 0
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--runs", type=int, default=1, help="of each case (default 1)")
    parser.add_argument(
        "--case", nargs="+", default=[""], help="only those whose number or name has one of these words"
    )
    parser.add_argument("--kind", choices=BOTH, help="only this kind of service (default both)")
    parser.add_argument(
        "--random-minutes",
        type=float,
        default=0,
        help="cases drawn at random for so long (of each kind), one a minute",
    )
    options = parser.parse_args(arguments)
    wanted = [one for one in CASES if any(words.lower() in _called(one) for words in options.case)]
    tallies: dict[tuple[str, str, str], Tally] = {}
    for kind in [options.kind] if options.kind else BOTH:
        cases = [one for one in wanted if kind in one.kinds]
        with _running(kind) as running:
            schedule = (
                _drawn(cases, options.random_minutes)
                if options.random_minutes
                else _in_rounds(cases, options.runs)
            )
            for one in schedule:
                _run(running, one, tallies.setdefault((one.number, one.name, kind), Tally()))
    _print(tallies)
    return 1 if any(tally.failures for tally in tallies.values()) else 0


def _called(one: Case) -> str:
    return f"{one.number} {one.name}".lower()


def _in_rounds(cases: list[Case], runs: int) -> Iterator[Case]:
    for _ in range(runs):
        yield from cases


def _drawn(cases: list[Case], minutes: float) -> Iterator[Case]:
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        next_minute = time.monotonic() + 60
        yield random.choice(cases)
        time.sleep(max(0.0, min(next_minute, end) - time.monotonic()))


@contextmanager
def _running(kind: str) -> Iterator["Stage"]:
    stage = Stage(kind)
    try:
        yield stage
    finally:
        stage.close()


class Stage:
    """One service for many runs; a fresh one after a run that failed, whose remains are kept."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._open()

    def _open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"condensery-faults-{self._kind}-"))
        self.folder.chmod(0o755)
        self._context = place(self._kind, self.folder)
        self.place: Place = self._context.__enter__()

    def close(self) -> None:
        self._context.__exit__(None, None, None)

    def renew(self) -> Path:
        failed = self.folder
        self.close()
        self._open()
        return failed


def _run(stage: Stage, one: Case, tally: Tally) -> None:
    began = time.monotonic()
    tally.runs += 1
    problem = None
    try:
        one.do(stage.place)
        if found := stage.place.verdict():
            problem = "; ".join(found[:5])
    except Exception:
        problem = traceback.format_exc(limit=-4)
    tally.seconds.append(time.monotonic() - began)
    if problem:
        kept = stage.renew()
        tally.failures.append(f"{problem}\n(kept in {kept})")
    print(
        f"{one.number} {one.name} [{stage.place.kind}] {tally.seconds[-1]:.1f} s "
        + (f"FAILED\n{tally.failures[-1]}" if problem else "ok"),
        flush=True,
    )


def _print(tallies: dict[tuple[str, str, str], Tally]) -> None:
    print("\n| case | fault | service | runs | failures | longest |\n|---|---|---|---:|---:|---:|")
    for (number, name, kind), tally in sorted(tallies.items()):
        longest = f"{max(tally.seconds):.0f} s"
        print(f"| {number} | {name} | {kind} | {tally.runs} | {len(tally.failures)} | {longest} |")
    runs = sum(tally.runs for tally in tallies.values())
    failures = sum(len(tally.failures) for tally in tallies.values())
    print(f"\n{runs} runs, {failures} failures")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
