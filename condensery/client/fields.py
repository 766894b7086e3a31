"""What the server answers with, as frozen dataclasses. Fields that a newer server adds are in `raw`.

tests/contract/test_client_models.py holds each against the component of openapi.json that has its name, `Out`
behind it: one for one, in name, type and whether it may be null.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`raw` is the JSON object as the server sent it."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Resource(Answer):
    id: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reason(Answer):
    """Why something failed: a stable code and a sentence; the facts that it names are in `raw`."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Upload(Resource):
    """`size` and `offset` in bytes; `sha256` once it is complete; else it goes at `expires_at`."""

    file_name: str | None
    size: int
    state: str
    offset: int
    expires_at: datetime | None
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class DatasetFields(Resource):
    """`state` is `receiving`, `ingesting`, `ready` or `invalid`; `manifest` is there once it is ready."""

    name: str
    upload_id: str | None
    license: str | None
    path: str | None
    state: str
    image_size: int | None
    channels: int | None
    images_done: int
    images_total: int | None
    content_hash: str | None
    manifest: dict[str, Any] | None
    problem: Reason | None
    updated_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ("ready", "invalid")


@dataclass(frozen=True, kw_only=True)
class CondensedSetFields(Resource):
    """`state` is `reading`, `ready` or `invalid`. `stored` and `decoded` are images per class, of the largest
    class; `manifest` has the names of the classes, mean and std. One of `job_id`, `upload_id` and `parents`
    says where it comes from, unless that was deleted.
    """

    name: str
    state: str
    job_id: str | None
    upload_id: str | None
    dataset_id: str | None
    parents: list[str] | None
    stated: dict[str, Any] | None
    license: str | None
    form: str
    classes: int | None
    channels: int | None
    image_size: int | None
    stored: int | None
    decoded: int | None
    data_hash: str | None
    manifest: dict[str, Any] | None
    problem: Reason | None
    updated_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ("ready", "invalid")


@dataclass(frozen=True, kw_only=True)
class Evaluation(Answer):
    """Networks trained on one set: accuracies as fractions, std the sample standard deviation of n.

    `confusion` counts test images, a row for each true class, a column for each answer.
    """

    method: str
    network: str
    n: int
    mean: float
    std: float | None
    accuracies: list[float]
    per_class: list[float | None]
    confusion: list[list[int]] | None
    protocol: str
    train_images: int
    epochs: int
    steps: int | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Accuracy(Answer):
    """Of n networks trained on the images as they were after an iteration, as Evaluation has it."""

    iteration: int
    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class JobFields(Resource):
    """`state` is `queued`, `running`, `pausing`, `paused`, `cancelling`, `cancelled`, `succeeded` or
    `failed`.

    `condensed_set_id` is what it works on, `made_set_id` what it has made, each if its kind does that.
    `attempts` counts how often a worker has taken it, `setbacks` those that ended early since the last
    progress, by cause; before `retry_at` it is not tried again after one.
    """

    kind: str
    name: str | None
    dataset_id: str | None
    condensed_set_id: str | None
    made_set_id: str | None
    data_hash: str
    state: str
    phase: str
    priority: str
    iteration: int
    progress: dict[str, Any] | None
    resumes: int
    attempts: int
    setbacks: dict[str, int]
    retry_at: datetime | None
    spec: dict[str, Any]
    evaluations: list[Evaluation]
    accuracies: list[Accuracy]
    result: dict[str, Any] | None
    problem: Reason | None
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ("cancelled", "succeeded", "failed")


@dataclass(frozen=True, kw_only=True)
class Cost(Answer):
    """Of a job, by arithmetic alone; `seconds` at the speed of recent jobs, None if none was alike."""

    flops: int
    flops_by_phase: dict[str, int]
    memory_bytes: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class JobCheck(Answer):
    """What a submission would make: `label` is what it is called if it has no name, `cost` is None without a
    data set."""

    kind: str
    label: str
    spec: dict[str, Any]
    cost: Cost | None


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """One entry of the history of a data set or a job; `seq` counts from 1 without gaps."""

    seq: int
    type: str
    data: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Metric(Answer):
    """A point of the loss curve; seconds of computing since the start of the attempt that wrote it."""

    iteration: int
    loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ArtifactFields(Resource):
    """A file of a job's results, or of a condensed set and of the job that made it; `size` in bytes."""

    job_id: str | None
    condensed_set_id: str | None
    format: str
    file_name: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Key(Resource):
    """An API key. `token` is in the answer that made it, and only there."""

    owner: str
    name: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class StoredBytes(Answer):
    uploads: int
    datasets: int
    checkpoints: int
    snapshots: int
    artifacts: int
    pools: int
    total: int
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class JobCounts(Answer):
    queued: int
    queued_limit: int
    running: int
    running_limit: int


@dataclass(frozen=True, kw_only=True)
class Usage(Answer):
    """What the caller stores and runs, beside the limits; a limit that is None does not exist."""

    stored_bytes: StoredBytes
    jobs: JobCounts
