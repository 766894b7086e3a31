"""Runners forked from a process that has everything loaded: whose children they are, and if it is gone."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leased import job_of, take
from tests.support.processes import commands, lives, parent_of, runner_of, wait_for
from tests.support.workplace import ENDLESS, Workplace, embedded_workplace
from worker.runner_process import RunnerProcess, preload


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def servers() -> set[int]:
    """The fork servers of this process."""
    found = {pid for pid, command in commands().items() if "worker.forkserver" in command}
    return {pid for pid in found if parent_of(pid) == os.getpid()}


def preloaded() -> set[int]:
    """All fork servers, once a new one is among them."""
    before = servers()
    preload("tensors")
    return wait_for(lambda: servers() if servers() - before else set())


def asked_for(place: Workplace, job_id: str) -> RunnerProcess:
    lease = take(place.database, job_id)
    return RunnerProcess("job", job_id, lease.fence)


def test_it_is_a_child_of_who_asked_with_a_session_and_a_command_line_of_its_own(place: Workplace) -> None:
    job_id = place.new_job(iterations=ENDLESS)
    process = asked_for(place, job_id)
    try:
        runner = wait_for(lambda: process.wait(0) or runner_of(job_id))
        assert runner is not None and runner > 0
        assert runner not in servers()
        assert parent_of(runner) == os.getpid()
        assert os.getsid(runner) == runner
        assert commands()[runner][1:5] == ["-m", "worker.runner", "job", job_id]
    finally:
        assert process.end() == -signal.SIGKILL
    assert not lives(runner)


def test_attempts_after_each_other_come_from_one_server(place: Workplace) -> None:
    job_id = place.new_job(iterations=2)
    place.attempt(job_id)
    before = servers()
    place.attempt(job_id)
    assert job_of(place.database, job_id).state == "succeeded"
    assert servers() == before


def test_an_attempt_does_without_a_server_that_was_killed_and_says_so(
    place: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = preloaded()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not servers())
    job_id = place.new_job(iterations=2)
    place.attempt(job_id)
    assert "no fork of what is loaded" in capfd.readouterr().out
    place.attempt(job_id)  # of those that were killed, or of a new one
    assert job_of(place.database, job_id).state == "succeeded"


def test_who_is_told_to_stop_while_things_are_loaded_never_begins(place: Workplace) -> None:
    stopped = preloaded()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    job_id = place.new_job(iterations=ENDLESS)
    process = asked_for(place, job_id)
    assert process.wait(0.1) is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == process.end() == -signal.SIGTERM
    for pid in stopped:
        if lives(pid):
            os.kill(pid, signal.SIGCONT)
    assert runner_of(job_id) is None
