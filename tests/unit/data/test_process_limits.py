"""A process that reads an upload is held to its memory and CPU time, and to no more than those."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
START = """
import json, resource, signal, sys, time
from pathlib import Path
import numpy as np
from core.data.process_limits import process_limits
from core.errors import DataError
MIB = 2**20
def limits():
    return [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)]
before = limits()
"""
END = """
assert limits() == before and signal.getsignal(signal.SIGXCPU) == signal.SIG_DFL
print(json.dumps([found.code, found.detail, found.context] if found else None))
"""


def outcome(code: str, *arguments: str) -> Any:
    """Runs in a process of its own: a limit that did not end would end this one's other tests."""
    script = f"{START}\nfound = None\ntry:\n{code}\nexcept DataError as error:\n    found = error\n{END}"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_memory_over_the_limit_is_refused_by_name() -> None:
    code, detail, context = outcome("""
    with process_limits(memory_bytes=512 * MIB, cpu_seconds=60):
        kept = [bytearray(64 * MIB) for _ in range(20)]
""")
    assert (code, context) == ("limit_exceeded", {"limit_name": "memory_bytes", "limit": 512 * 2**20})
    assert "512 MiB of memory" in detail


def test_an_array_of_a_library_counts_too() -> None:
    code, _, context = outcome("""
    with process_limits(memory_bytes=512 * MIB, cpu_seconds=60):
        np.ones(2**30, np.uint8)
""")
    assert (code, context["limit_name"]) == ("limit_exceeded", "memory_bytes")


def test_cpu_time_over_the_limit_is_refused_by_name() -> None:
    code, detail, context = outcome("""
    with process_limits(memory_bytes=512 * MIB, cpu_seconds=1):
        while True:
            pass
""")
    assert (code, context) == ("limit_exceeded", {"limit_name": "cpu_seconds", "limit": 1})
    assert "1 seconds of CPU time" in detail


def test_what_tidies_up_after_too_much_cpu_time_may_take_more(tmp_path: Path) -> None:
    done = tmp_path / "done"
    tidy = """
    with process_limits(memory_bytes=512 * MIB, cpu_seconds=1):
        try:
            while True:
                pass
        finally:
            until = time.process_time() + 2.5
            while time.process_time() < until:
                pass
            Path(sys.argv[1]).touch()
"""
    code, _, context = outcome(tidy, str(done))
    assert (code, context["limit_name"], done.exists()) == ("limit_exceeded", "cpu_seconds", True)


def test_a_file_mapped_into_memory_may_be_larger(tmp_path: Path) -> None:
    path = tmp_path / "images"
    with path.open("wb") as file:
        file.truncate(2**30)
    read = """
    with process_limits(memory_bytes=512 * MIB, cpu_seconds=60):
        assert not np.memmap(sys.argv[1], np.uint8, "r")[:: MIB].any()
"""
    assert outcome(read, str(path)) is None


def test_after_it_there_is_memory_again() -> None:
    allocate = """
    try:
        with process_limits(memory_bytes=512 * MIB, cpu_seconds=60):
            bytearray(700 * MIB)
    except DataError as error:
        assert len(bytearray(700 * MIB)) == 700 * MIB
        raise
"""
    assert outcome(allocate)[0] == "limit_exceeded"
