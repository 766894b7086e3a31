"""What the server answers with, as frozen dataclasses. Fields that a newer server adds are in `raw`."""

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from condensery.client.errors import UnexpectedAnswer

T = TypeVar("T")


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
    """`size` and `offset` in bytes; `sha256` once it is complete."""

    file_name: str | None
    size: int
    state: str
    offset: int
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class DatasetFields(Resource):
    """`state` is `receiving`, `ingesting`, `ready` or `invalid`; `manifest` is there once it is ready."""

    name: str
    upload_id: str | None
    license: str | None
    state: str
    image_size: int | None
    channels: int | None
    images_done: int
    images_total: int | None
    content_hash: str | None
    manifest: dict[str, Any] | None
    problem: Reason | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ("ready", "invalid")


@dataclass(frozen=True, kw_only=True)
class Evaluation(Answer):
    """Networks trained on one set: accuracies as fractions, std the sample standard deviation of n."""

    method: str
    network: str
    n: int
    mean: float
    std: float | None
    accuracies: list[float]
    per_class: list[float | None]
    train_images: int
    epochs: int


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
    `failed`."""

    name: str | None
    dataset_id: str | None
    state: str
    phase: str
    priority: str
    iteration: int
    progress: dict[str, Any] | None
    resumes: int
    spec: dict[str, Any]
    evaluations: list[Evaluation]
    accuracies: list[Accuracy]
    result: dict[str, Any] | None
    problem: Reason | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ("cancelled", "succeeded", "failed")


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
    """A file that a job offers; `size` in bytes."""

    job_id: str
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


def parse(kind: type[T], body: Mapping[str, Any], **bound: Any) -> T:
    """An answer of this kind. `bound` are its fields that are not the server's.

    Raises:
        UnexpectedAnswer: a field is missing: the server is older than this client.
    """
    values: dict[str, Any] = {"raw": body, **bound}
    for name, hint, required in _fields(cast(Hashable, kind)):
        if name in body:
            values[name] = _value(hint, body[name])
        elif required and name not in values:
            raise UnexpectedAnswer(f"the server's answer has no {name!r}: it is older than this client")
    return kind(**values)


@cache
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    hints = get_type_hints(kind)
    return [
        (one.name, hints[one.name], one.default is dataclasses.MISSING)
        for one in dataclasses.fields(kind)
        if one.name != "raw"
    ]


def _value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) is UnionType:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if get_origin(hint) is list:
        return [_value(get_args(hint)[0], one) for one in value]
    return parse(cast(type[Any], hint), value) if dataclasses.is_dataclass(hint) else value
