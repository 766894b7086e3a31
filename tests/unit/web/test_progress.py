"""How far a job is, in words."""

from typing import Any

import pytest

from api.schemas.jobs import EvaluationOut
from api.web.progress import progress_of
from tests.unit.web.jobs import SPEC, job_out

EVALUATING = {"phase": "evaluate", "method": "whole", "epoch": 5, "epochs": 20, "seconds_left": 42.0}
ONE = EvaluationOut.model_validate({
    "method": "condensed", "network": SPEC.network_name(), "n": 3, "mean": 0.5, "std": None,
    "accuracies": [], "per_class": [], "confusion": None, "train_images": 1, "epochs": 1, "seconds": 1,
})  # fmt: skip


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ({"state": "queued"}, "waits for its turn"),
        ({"state": "queued", "iteration": 40}, "waits for its turn, to go on after iteration 40 of 100"),
        ({"state": "paused"}, "paused before the first iteration"),
        ({"state": "paused", "iteration": 40}, "paused after iteration 40 of 100"),
        ({"state": "running", "iteration": 40}, "iteration 40 of 100"),
        ({"state": "pausing", "iteration": 40}, "iteration 40 of 100"),
        (
            {"state": "queued", "phase": "evaluate", "evaluations": [ONE]},
            "waits for its turn; 3 of 20 networks trained and tested",
        ),
        (
            {"state": "paused", "phase": "evaluate", "progress": EVALUATING},
            "paused; 0 of 20 networks trained and tested",
        ),
        (
            {"state": "queued", "phase": "export"},
            "waits for its turn; the files are still to be written",
        ),
        ({"state": "running", "phase": "export"}, "writing the files"),
    ],
)
def test_what_is_at_rest_does_not_look_as_if_it_ran(job: dict[str, Any], text: str) -> None:
    assert progress_of(job_out(**job))["text"] == text


def test_the_time_left_is_told_in_every_phase_that_knows_it() -> None:
    evaluating = job_out(phase="evaluate", evaluations=[ONE], progress=EVALUATING)
    assert progress_of(evaluating) == {
        "value": 3.25, "most": 20, "left": 42.0,
        "text": "3 of 20 networks trained and tested; now whole, epoch 5 of 20",
    }  # fmt: skip
    told = {"phase": "condense", "iteration": 40, "seconds_left": 7.0}
    assert progress_of(job_out(iteration=40, progress=told))["left"] == 7.0


def test_what_was_told_of_the_phase_before_or_before_a_pause_says_nothing_now() -> None:
    told = {"phase": "condense", "iteration": 100, "seconds_left": 7.0}
    assert progress_of(job_out(phase="evaluate", progress=told))["left"] is None
    assert progress_of(job_out(state="paused", iteration=100, progress=told))["left"] is None
