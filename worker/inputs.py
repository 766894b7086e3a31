"""What a job works on: its data set, its spec, the condensed set that it takes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from core.condensed.rows import canonical_file
from core.data.canonical.canonical_set import CanonicalSet
from core.db.models import Dataset, Job
from core.engine.images import LabelledImages
from core.errors import JobError
from core.export import safetensors
from core.export.condensed import CondensedSet
from core.kinds import KINDS
from core.kinds.device import choose_device, make_deterministic
from core.kinds.kind import DataFacts, Kind, resolve
from core.kinds.work import Saved, Source
from core.trials.spec import TrialPlan
from worker import checkpoints
from worker.attempt import Attempt


@contextmanager
def opened(attempt: Attempt, job: Job) -> Iterator[CanonicalSet]:
    """The job's data set, on this machine's disk.

    Raises:
        JobError: it was deleted, or is damaged.
    """
    with attempt.database.reading() as session:
        dataset = session.get(Dataset, job.dataset_id) if job.dataset_id else None
    if dataset is None or dataset.blob_prefix is None:
        raise JobError("the job's data set was deleted", code="dataset_deleted")
    with ExitStack() as held:
        try:
            folder = held.enter_context(attempt.storage.local_folder(dataset.blob_prefix))
        except OSError as error:
            raise JobError(f"the job's data set is damaged: {error}", code="corrupt_canonical_set") from error
        yield CanonicalSet.open(folder)


class Inputs:
    """The Given of core/kinds/work.py, for an attempt at a job or at one of its trials."""

    def __init__(self, attempt: Attempt, job: Job, canonical: CanonicalSet) -> None:
        self.attempt = attempt
        self.job = job
        self.kind: Kind = KINDS[job.kind]
        self.spec: Any = self.kind.spec.model_validate(job.spec)
        self._canonical = canonical

    @cached_property
    def plan(self) -> TrialPlan:
        return self.kind.plan(self.spec)

    @cached_property
    def source(self) -> Source:
        with self.attempt.database.reading() as session:
            dataset = session.get_one(Dataset, self.job.dataset_id)
        manifest = self._canonical.manifest
        return Source(
            name=dataset.name,
            license=dataset.license,
            sha256=self.job.data_hash,
            classes=manifest.classes,
            split_rule=manifest.split_rule,
            report=manifest.report,
        )

    @cached_property
    def train(self) -> LabelledImages:
        return self._split("train")

    @cached_property
    def test(self) -> LabelledImages:
        return self._split("test")

    @cached_property
    def facts(self) -> DataFacts:
        return DataFacts(
            train_images=len(self.train),
            test_images=len(self.test),
            classes=self.train.num_classes,
            image_size=self.train.size[0],
            channels=self.train.channels,
        )

    def _split(self, name: str) -> LabelledImages:
        manifest, split = self._canonical.manifest, getattr(self._canonical, name)
        return LabelledImages(
            images_NHWC=split.images_NHWC,
            labels_N=split.labels_N,
            mean=tuple(manifest.mean),
            std=tuple(manifest.std),
            num_classes=len(manifest.classes),
        )

    @cached_property
    def condensed(self) -> CondensedSet:
        """Raises JobError: it was deleted, or is damaged."""
        with self.attempt.database.reading() as session:
            artifact = canonical_file(session, self.job.condensed_set_id)
        if artifact is None:
            raise JobError("the job's condensed set was deleted", code="condensed_set_deleted")
        try:
            with self.attempt.storage.local_file(artifact.blob_key) as path:
                return safetensors.read(path)
        except OSError as error:
            raise JobError(
                f"the job's condensed set is damaged: {error}", code="condensed_set_damaged"
            ) from error

    @cached_property
    def device(self) -> torch.device:
        make_deterministic()
        return choose_device(self.attempt.settings.device)

    def images(self) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = resolve(self.kind.images)(self)
        return found

    def load(self, device: torch.device) -> Saved | None:
        return checkpoints.load_newest(self.attempt, self.job, device)
