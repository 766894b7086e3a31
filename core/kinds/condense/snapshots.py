"""Pictures of the synthetic images while they form: some twenty of a job."""

import time

import torch

from core.engine.config import CondenseConfig
from core.engine.state import CondenseState, check_finite, stored
from core.export.eight_bit import levels_NHWC
from core.export.preview import grid, shown
from core.kinds.work import Work

#: Of a job, besides the one before the first iteration.
COUNT = 20
#: Between two: a short job shows fewer.
SECONDS = 2.0


class Snapshots:
    """Takes them as the iterations go by, evenly, and always after the last."""

    def __init__(self, work: Work, config: CondenseConfig) -> None:
        self._work = work
        self._config = config
        self._due = {round(config.iterations * part / COUNT) for part in range(1, COUNT + 1)}
        self._taken_at = 0.0

    def check(self, state: CondenseState) -> None:
        """Take one if it is time.

        Raises:
            NumericalError, LeaseLost, StorageFull, StorageUnavailable
        """
        last = state.iteration == self._config.iterations
        if last or (state.iteration in self._due and time.monotonic() - self._taken_at >= SECONDS):
            self.take(state)

    def take(self, state: CondenseState) -> None:
        """Draw and show.

        Raises:
            NumericalError, LeaseLost, StorageFull, StorageUnavailable
        """
        check_finite(state)
        real = self._work.train
        images_NCHW, labels = stored(state, real, self._config)
        labels_N = labels.numpy()
        rows_S = shown(labels_N)
        images_SCHW = images_NCHW[torch.from_numpy(rows_S).to(images_NCHW.device)].cpu().numpy()
        levels = levels_NHWC(images_SCHW, real.mean, real.std)
        self._work.picture(state.iteration, grid(levels, labels_N[rows_S], real.num_classes))
        self._taken_at = time.monotonic()
