"""Pictures of the synthetic images while they form: some twenty of a job, each a file and a row."""

import time

import torch

from core.db.models import Snapshot
from core.engine.images import LabelledImages
from core.engine.state import CondenseState, check_finite, synthetic_labels
from core.export.eight_bit import levels_NHWC
from core.export.preview import grid, shown
from core.jobs.files import snapshot_key
from core.storage.disk import sha256_file
from core.storage.removal import remove_after_commit
from worker.attempt import Attempt

#: Of a job, besides the one before the first iteration.
COUNT = 20
#: Between two: a short job shows fewer.
SECONDS = 2.0


class Snapshots:
    """Takes them as the iterations go by, evenly, and always after the last."""

    def __init__(self, attempt: Attempt, real: LabelledImages, iterations: int) -> None:
        self._attempt = attempt
        self._real = real
        self._iterations = iterations
        self._due = {round(iterations * part / COUNT) for part in range(1, COUNT + 1)}
        self._taken_at = 0.0

    def look(self, state: CondenseState) -> None:
        """Take one if it is time.

        Raises:
            NumericalError, LeaseLost, StorageFull, StorageUnavailable
        """
        last = state.iteration == self._iterations
        if last or (state.iteration in self._due and time.monotonic() - self._taken_at >= SECONDS):
            self.take(state)

    def take(self, state: CondenseState) -> None:
        """Draw, store, then tell. What an earlier attempt showed of the same iteration is replaced.

        Raises:
            NumericalError, LeaseLost, StorageFull, StorageUnavailable
        """
        check_finite(state)
        labels_N = synthetic_labels(self._real, len(state.images_NCHW) // len(self._real.classes)).numpy()
        rows_S = shown(labels_N)
        images_SCHW = state.images_NCHW[torch.from_numpy(rows_S).to(state.images_NCHW.device)].cpu().numpy()
        levels = levels_NHWC(images_SCHW, self._real.mean, self._real.std)
        lease, storage = self._attempt.lease, self._attempt.storage
        key = snapshot_key(lease.row_id, lease.fence, state.iteration)
        with storage.scratch() as folder:
            file = folder / "snapshot.png"
            grid(levels, labels_N[rows_S], self._real.num_classes).save(file)
            size, digest = file.stat().st_size, sha256_file(file)
            storage.put(key, file)
        with self._attempt.writing() as session:
            self._attempt.record(session, "snapshot", {"iteration": state.iteration})
            job = self._attempt.job(session)
            before = session.get(Snapshot, (job.id, state.iteration))
            if before is not None:
                old = before.blob_key
                session.delete(before)
                session.flush()
                remove_after_commit(session, lambda: storage.delete(old))
            session.add(
                Snapshot(
                    job_id=job.id, owner=job.owner, iteration=state.iteration, fence=lease.fence,
                    blob_key=key, size=size, sha256=digest,
                )
            )  # fmt: skip
        self._taken_at = time.monotonic()
