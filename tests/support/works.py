"""The Work of an attempt at a condensation, in this process and on images that belong to no data set."""

import torch

from core.engine.images import LabelledImages
from core.engine.state import CondenseState
from core.kinds.condense import run as condensing
from tests.support.leased import job_of
from tests.unit.engine.problems import random_images
from worker.attempt import Attempt
from worker.work import JobWork

CPU = torch.device("cpu")
_ANY = random_images((2, 2))


class WorkOn(JobWork):
    """As the worker makes it, but on the CPU as torch is set up here."""

    def __init__(self, attempt: Attempt, real: LabelledImages, test: LabelledImages | None = None) -> None:
        super().__init__(attempt, job_of(attempt.database, attempt.lease.row_id), canonical=None)  # type: ignore[arg-type]
        # What the worker reads from the canonical set.
        self.__dict__ |= {"train": real, "test": test or real, "device": CPU}


def condense_phase(
    attempt: Attempt, real: LabelledImages, test: LabelledImages | None = None
) -> CondenseState:
    """Run the phase `condense`. Returns the state that it has kept last."""
    condensing.run(WorkOn(attempt, real, test))
    kept = WorkOn(attempt, real, test).load(CPU)
    assert kept is not None
    return condensing.state_of(kept)


def keep(attempt: Attempt, state: CondenseState) -> None:
    """Make a state durable, as the phase does."""
    condensing.save(WorkOn(attempt, _ANY), state)


def newest(attempt: Attempt) -> CondenseState | None:
    """The newest state that is whole."""
    found = WorkOn(attempt, _ANY).load(CPU)
    return None if found is None else condensing.state_of(found)
