"""`python -m tests.fuzz --reader NAME --inputs N`: edited uploads through a reader, to see what breaks."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.harness import fuzz
from tests.fuzz.seeds import TARGETS, check_every_reader_has_seeds
from tests.fuzz.target import outcome


def main() -> int:
    """Returns 1 if anything but a refusal with a code came of an input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--reader", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--inputs", type=int, default=10_000, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="stop a reader's inputs after so long")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where inputs are kept")
    parser.add_argument("--replay", type=Path, help="read this one file, in this process")
    arguments = parser.parse_args()
    check_every_reader_has_seeds()
    if arguments.replay:
        return _replay(arguments.reader, arguments.replay)
    found = 0
    for name in TARGETS if arguments.reader == "all" else [arguments.reader]:
        report = fuzz(
            name,
            inputs=arguments.inputs,
            seed=arguments.seed,
            seconds=arguments.seconds,
            findings=arguments.findings,
        )
        print(report, flush=True)
        found += len(report.findings)
    return 1 if found else 0


def _replay(name: str, path: Path) -> int:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        print(outcome(path, Path(work), single_image=name == "image"))
    print(f"{time.perf_counter() - start:.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
