"""Each reader stands a few hundred edited uploads; and the fuzzer notices what it is there to notice."""

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import harness, seeds
from tests.fuzz.inputs import generate
from tests.fuzz.seeds import PACKERS, TARGETS

INPUTS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_edited_uploads_are_accepted_or_refused_by_code(name: str, tmp_path: Path) -> None:
    told: list[str] = []
    report = harness.fuzz(name, inputs=INPUTS, findings=tmp_path / "findings", log=told.append)
    assert told == []
    assert report.total.inputs == sum(report.total.outcomes.values()) == INPUTS
    # Edits that always, or never, break an upload would find little.
    assert 0.02 * INPUTS < report.total.outcomes["accepted"] < 0.95 * INPUTS
    assert not (tmp_path / "findings").exists()


def test_a_reader_without_seeds_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds.check_every_reader_has_seeds()
    monkeypatch.delitem(TARGETS, "npz")
    with pytest.raises(LookupError, match="npz"):
        seeds.check_every_reader_has_seeds()


def test_inputs_are_the_same_again_and_differ_from_one_another() -> None:
    inputs = [generate("npz", 3, index) for index in range(40)]
    assert inputs == [generate("npz", 3, index) for index in range(40)]
    assert len(set(inputs)) == 40


def _is_seed(path: Path) -> bool:
    data = path.read_bytes()
    return any(data == PACKERS[seed.container](seed.files) for seed in TARGETS["tar"].seeds)


def raises(path: Path, work: Path, *, single_image: bool) -> str:
    return "accepted" if _is_seed(path) else str(int("no number"))


def dies(path: Path, work: Path, *, single_image: bool) -> str:
    if not _is_seed(path):
        os.kill(os.getpid(), signal.SIGSEGV)
    return "accepted"


def hangs(path: Path, work: Path, *, single_image: bool) -> str:
    if not _is_seed(path):
        signal.pause()
    return "accepted"


def swells(path: Path, work: Path, *, single_image: bool) -> str:
    if not _is_seed(path):
        # Shared memory, for what is a process's own is held to its limit.
        mmap.mmap(-1, 300 * 2**20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
    return "accepted"


def asks(path: Path, work: Path, *, single_image: bool) -> str:
    return "accepted" if _is_seed(path) else str(len(b"x" * 300 * 2**20))


def dawdles(path: Path, work: Path, *, single_image: bool) -> str:
    until = time.process_time() + (0.0 if _is_seed(path) else 2.1)
    while time.process_time() < until:
        pass
    return "accepted"


def leaks(path: Path, work: Path, *, single_image: bool) -> str:
    if not _is_seed(path):
        os.open(path, os.O_RDONLY)
    return "accepted"


@pytest.mark.parametrize(
    ("read", "place"),
    [
        (raises, "ValueError at "),
        (dies, "the process died"),
        (hangs, "the process hung"),
        (swells, "memory"),
        (dawdles, "slow"),
        (leaks, "descriptors"),
    ],
)
def test_what_goes_wrong_is_found_and_kept(read: Callable[..., str], place: str, tmp_path: Path) -> None:
    told: list[str] = []
    # One that dawdles says nothing either, for as long as other work on the machine makes of its 2 s.
    silence = 4 if read is hangs else 60
    report = harness.fuzz("tar", inputs=2, findings=tmp_path, log=told.append, read=read, silence=silence)
    # On a busy machine what takes much memory may be slow besides.
    ((finding, path),) = (one for found, one in report.findings.items() if found.startswith(place))
    assert path.read_bytes() == generate("tar", 0, finding.index)
    assert any(f"--reader tar --replay {path}" in one for one in told)
    assert report.total.inputs == 2


def test_memory_that_a_process_may_not_take_is_a_refusal(tmp_path: Path) -> None:
    report = harness.fuzz("tar", inputs=2, findings=tmp_path, read=asks)
    assert (report.total.outcomes, report.findings) == ({"limit_exceeded": 2}, {})
