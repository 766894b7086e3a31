"""How a job ends whose arithmetic or memory gave out, by the phase that it happened in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.engine.errors import NumericalError, OutOfMemory, TrainingDiverged
from core.errors import JobError
from core.kinds import evaluating
from core.kinds.condense import run as condensing
from tests.support.condensed import next_attempt, torch_as_it_was
from tests.support.workplace import Workplace, embedded_workplace
from worker import phases


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made, torch_as_it_was():
        yield made


def problem(place: Workplace, monkeypatch: pytest.MonkeyPatch, phase: object, error: Exception) -> JobError:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(phase, "run", fails)
    job_id = place.new_job(iterations=1)
    with pytest.raises(JobError) as failed:
        phases.run(next_attempt(place.database, place.storage, place.settings, job_id))
    return failed.value


def test_memory_that_runs_out_is_named_so_wherever_it_does(
    embedded: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (OutOfMemory("in the test", splits=True), torch.OutOfMemoryError("2 GiB"), MemoryError()):
        found = problem(embedded, monkeypatch, evaluating, error)
        assert found.code == "out_of_memory"
        assert "a narrower network" in found.detail and "another norm" not in found.detail
    with pytest.raises(RuntimeError, match="shapes"):
        problem(embedded, monkeypatch, evaluating, RuntimeError("shapes cannot be multiplied"))
    found = problem(embedded, monkeypatch, condensing, OutOfMemory("in iteration 3", splits=False))
    assert found.code == "out_of_memory" and "another norm" in found.detail


def test_a_smaller_lr_is_advised_only_where_it_can_be_set(
    embedded: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = problem(embedded, monkeypatch, evaluating, TrainingDiverged("the training loss"))
    assert found.code == "numerical" and "smaller lr" not in found.detail
    found = problem(embedded, monkeypatch, condensing, NumericalError("the loss"))
    assert found.code == "numerical" and "a smaller lr may help" in found.detail
