"""The Work of core/kinds/work.py: every write is a transaction under the attempt's fence, with an event."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from core.condensed.publishing import published_set
from core.db.models import Artifact, Job, Metric, Snapshot, Trial
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Score
from core.engine.pool import Pool, PoolNetwork
from core.export.artifacts import WrittenArtifact
from core.export.condensed import CondensedSet
from core.failpoints import reach
from core.ids import new_id
from core.jobs.durations import seconds_by_phase
from core.jobs.speed import measured_speed
from core.kinds.device import environment
from core.kinds.environments import evaluating_on
from core.kinds.work import Point, Saved, TrialState
from core.storage.disk import sha256_file
from core.trials import rows as trial_rows
from core.trials.results import done_trials
from core.trials.spec import Entry
from core.work.files import attempt_prefix, keep_only_published, snapshot_key
from core.work.removal import remove_after_commit
from core.work.transitions import held_by, move, require
from worker import checkpoints, pools
from worker.inputs import Inputs
from worker.whole_job import WholeJob


class JobWork(Inputs):
    """Of an attempt at a job, for one of its phases."""

    @property
    def progress(self) -> Mapping[str, Any]:
        return self.job.progress or {}

    @property
    def result(self) -> Mapping[str, Any]:
        with self.attempt.database.reading() as session:
            return self.attempt.job(session).result or {}

    @property
    def checkpoint_seconds(self) -> float:
        return self.attempt.settings.checkpoint_seconds

    @property
    def asked_to_stop(self) -> bool:
        return self.attempt.asked_to_stop

    def stop_if_asked(self) -> None:
        self.attempt.stop_if_asked()

    def due(self) -> bool:
        return self.attempt.due()

    def report(
        self,
        done: float,
        total: float,
        text: str,
        *,
        seconds_left: float | None = None,
        step: int | None = None,
        points: Sequence[Point] = (),
        kept: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        whole = WholeJob.of(self.kind, self.spec, self.facts, self.job.phase)
        progress = {
            "phase": self.job.phase,
            **whole.progress(done / total if total else 1.0, seconds_left),
            "text": text,
            **facts,
        }
        lease = self.attempt.lease
        with self.attempt.writing() as session:
            values = {} if step is None else {"iteration": step}
            self.attempt.progress(session, progress, progress={**progress, **(kept or {})}, **values)
            for one in points:
                # An attempt that went back to an earlier checkpoint comes to the same points again.
                session.merge(
                    Metric(
                        job_id=lease.row_id, owner=self.job.owner, fence=lease.fence, series=one.series,
                        x=one.x, value=one.value, seconds=one.seconds,
                    )
                )  # fmt: skip

    def record(self, event: str, data: Mapping[str, Any], **values: Any) -> None:
        with self.attempt.writing() as session:
            self.attempt.record(session, event, dict(data), **values)

    def resumed(self, step: int, result: Mapping[str, Any] | None) -> None:
        here = {} if result is None else {"result": result}
        with self.attempt.writing() as session:
            self.attempt.record(session, "resumed", {"iteration": step}, resumes=Job.resumes + 1, **here)

    def save(self, saved: Saved) -> None:
        checkpoints.save(self.attempt, saved)

    def picture(self, step: int, image: Image) -> None:
        lease, storage = self.attempt.lease, self.attempt.storage
        key = snapshot_key(lease.row_id, lease.fence, step)
        with storage.scratch() as folder:
            file = folder / "snapshot.png"
            image.save(file)
            size, digest = file.stat().st_size, sha256_file(file)
            storage.put(key, file)
        with self.attempt.writing() as session:
            self.attempt.record(session, "snapshot", {"iteration": step})
            before = session.get(Snapshot, (self.job.id, step))
            if before is not None:
                session.delete(before)
                session.flush()
                if before.blob_key != key:  # or this attempt has just written it anew
                    remove_after_commit(session, partial(storage.delete, before.blob_key))
            session.add(
                Snapshot(
                    job_id=self.job.id, owner=self.job.owner, iteration=step, fence=lease.fence,
                    blob_key=key, size=size, sha256=digest,
                )
            )  # fmt: skip

    def trials(self, group: str) -> list[TrialState]:
        with self.attempt.database.reading() as session:
            return [
                TrialState(
                    id=one.id, method=one.method, network=one.network, repeat=one.repeat, step=one.step,
                    state=one.state, selection=one.selection_key, seconds=one.seconds,
                )
                for one in trial_rows.of_group(session, self.job, group)
            ]  # fmt: skip

    def offer_trials(self, group: str, entries: Mapping[int, Entry], selection: str | None = None) -> None:
        with self.attempt.writing() as session:
            self.attempt.hold(session)
            trial_rows.offer(session, self.job, group, entries, self.plan, selection)

    def take_trial(self, trial_id: str) -> bool:
        with self.attempt.writing() as session:
            # An attempt that has lost the job would keep the trial from the one that holds it.
            self.attempt.hold(session)
            return trial_rows.take_for_job(session, trial_id, self.attempt.lease.fence)

    def finish_trial(self, trial_id: str, score: Score, *, epochs: int, train_images: int) -> None:
        here = environment(self.device)
        with self.attempt.writing() as session:
            job = self.attempt.hold(session)
            assert isinstance(job, Job)
            trial = session.get_one(Trial, trial_id)
            mine = (Trial.job_fence == self.attempt.lease.fence, Trial.state == "running")
            found = trial_rows.found(score, epochs=epochs, train_images=train_images)
            require(move(session, Trial, trial_id, "done", *mine, **found), trial_id, job.fence)
            result = evaluating_on(job.result, here)
            data = trial_rows.event_of(trial, score)
            self.attempt.record(session, "evaluated", data, setbacks={}, result=result)

    def keep_point(self, group: str, entry: Entry, step: int, score: Score) -> None:
        with self.attempt.writing() as session:
            data = {"iteration": step, "repeat": entry.repeat, "accuracy": score.accuracy}
            self.attempt.record(session, "accuracy", data, setbacks={})
            fence = self.attempt.lease.fence
            trial_rows.keep(session, self.job, fence, group, entry, step, self.plan, score)

    def pooled(self, training: EvaluateConfig) -> set[int]:
        return pools.numbers(self.attempt, self.job, training)

    def keep_pooled(
        self, trial_id: str, training: EvaluateConfig, repeat: int, network: PoolNetwork, seconds: float
    ) -> None:
        stored = pools.store(self.attempt, network)
        with self.attempt.writing() as session:
            job = self.attempt.hold(session)
            assert isinstance(job, Job)
            trial = session.get_one(Trial, trial_id)
            mine = (Trial.job_fence == self.attempt.lease.fence, Trial.state == "running")
            found: dict[str, Any] = {
                "seconds": seconds,
                "epochs": training.epochs,
                "train_images": len(self.train),
            }
            require(move(session, Trial, trial_id, "done", *mine, **found), trial_id, job.fence)
            pools.keep(session, self.attempt, job, training, repeat, seconds, stored)
            self.attempt.record(session, "pooled", trial_rows.pooled_event(trial), setbacks={})

    def pool(self, training: EvaluateConfig) -> Pool | None:
        return pools.load(self.attempt, self.job, training)

    def store_selection(self, method: str, indices_N: Tensor) -> str:
        lease = self.attempt.lease
        with self.attempt.storage.scratch() as folder:
            file = folder / "selection.npy"
            np.save(file, indices_N.numpy())
            name = f"selection-{method}-{sha256_file(file)}.npy"
            key = f"{attempt_prefix(lease.row_id, lease.fence)}/{name}"
            self.attempt.storage.put(key, file)
        return key

    def load_selection(self, name: str) -> Tensor | None:
        return load_selection(self, name)

    def scratch(self) -> AbstractContextManager[Path]:
        return self.attempt.storage.scratch()

    def results(self, group: str) -> Sequence[Trial]:
        with self.attempt.database.reading() as session:
            return done_trials(session, self.job, group)

    def speed(self) -> Mapping[str, float]:
        with self.attempt.database.reading() as session:
            return measured_speed(session, self.job)

    def phase_seconds(self) -> Mapping[str, float]:
        with self.attempt.database.reading() as session:
            return seconds_by_phase(session, self.job, [one.name for one in self.kind.phases_of(self.spec)])

    def publish(
        self,
        folder: Path,
        files: Sequence[WrittenArtifact],
        result: Mapping[str, Any],
        condensed: CondensedSet | None = None,
    ) -> None:
        job, lease, storage = self.job, self.attempt.lease, self.attempt.storage
        prefix = f"{attempt_prefix(job.id, lease.fence)}/artifacts"
        storage.put(prefix, folder)
        reach("artifacts.stored")
        with self.attempt.writing() as session:
            progress = WholeJob.ended(self.attempt.job(session).progress or {})
            published = move(
                session, Job, job.id, "succeeded", *held_by(Job, lease.fence),
                data={"artifacts": len(files)}, result=dict(result), progress=progress,
            )  # fmt: skip
            require(published, job.id, lease.fence)
            of = None
            if condensed is not None:
                name = job.name or self.source.name
                of = published_set(session, job, condensed, name=name, blob_prefix=prefix)
            session.add_all(
                Artifact(
                    id=new_id("art"), job_id=job.id, condensed_set_id=of, owner=job.owner, fence=lease.fence,
                    format=one.format, file_name=one.file_name, media_type=one.media_type, size=one.size,
                    sha256=one.sha256, blob_key=f"{prefix}/{one.path.name}",
                )
                for one in files
            )  # fmt: skip
            session.flush()
            keep_only_published(session, storage, job.id)


def load_selection(given: Inputs, name: str) -> Tensor | None:
    """Indices (N,), int64, that an attempt at the job has stored; None if they are damaged or gone."""
    try:
        with given.attempt.storage.local_file(name) as path:
            # Other indices would be other images, and accuracies of them nobody could tell from the others.
            if not name.endswith(f"-{sha256_file(path)}.npy"):
                return None
            return torch.from_numpy(np.load(path, allow_pickle=False))
    except OSError:
        return None
