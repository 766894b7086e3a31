"""How far a job is, in words: as its worker has reported it, whatever the kind."""

from typing import Any

import pytest

from api.web.progress import progress_of
from tests.unit.web.jobs import job_out

CONDENSING = {
    "phase": "condense", "done": 4.5, "total": 60.0, "text": "iteration 40 of 100", "seconds_left": 7.0,
}  # fmt: skip
EVALUATING = {
    "phase": "evaluate", "done": 13.0, "total": 60.0, "text": "3 of 20 networks trained and tested",
    "seconds_left": 42.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ({"state": "queued"}, "waits for its turn"),
        (
            {"state": "queued", "progress": CONDENSING},
            "waits for its turn; so far: iteration 40 of 100",
        ),
        ({"state": "paused"}, "paused"),
        ({"state": "paused", "progress": CONDENSING}, "paused; so far: iteration 40 of 100"),
        ({"state": "running", "progress": CONDENSING}, "iteration 40 of 100"),
        ({"state": "pausing", "progress": CONDENSING}, "iteration 40 of 100"),
        (
            {"state": "queued", "phase": "evaluate", "progress": EVALUATING},
            "waits for its turn; so far: 3 of 20 networks trained and tested",
        ),
        ({"state": "queued", "phase": "export", "progress": EVALUATING}, "waits for its turn"),
        ({"state": "running", "phase": "export", "progress": EVALUATING}, "export begins"),
    ],
)
def test_what_is_at_rest_does_not_look_as_if_it_ran(job: dict[str, Any], text: str) -> None:
    assert progress_of(job_out(**job))["text"] == text


def test_the_bar_and_the_time_left_are_those_that_were_reported() -> None:
    for phase, reported in (("condense", CONDENSING), ("evaluate", EVALUATING)):
        assert progress_of(job_out(phase=phase, progress=reported)) == {
            "value": reported["done"], "most": reported["total"], "left": reported["seconds_left"],
            "text": reported["text"],
        }  # fmt: skip


def test_before_the_first_report_the_bar_is_empty() -> None:
    found = progress_of(job_out())
    assert (found["value"], found["left"]) == (0, None)
    assert found["most"] > 0


def test_what_was_reported_of_the_phase_before_or_before_a_pause_tells_no_time_now() -> None:
    after = progress_of(job_out(phase="evaluate", progress=CONDENSING))
    assert (after["left"], after["value"]) == (None, CONDENSING["done"]), "the bar does not fall back"
    assert progress_of(job_out(state="paused", progress=CONDENSING))["left"] is None
