"""Jobs of every kind, their trials and their curves."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, create_model
from sqlalchemy.orm import Session

from api.schemas.common import Name, Reason, Resource
from core.condensed.rows import made_by_jobs
from core.db.models import Job
from core.jobs.submission import Asked
from core.kinds import DEFAULT, KINDS
from core.kinds.kind import Cost, Kind
from core.strict import Strict
from core.trials.methods import METHODS
from core.trials.results import CONFUSION_CLASSES
from core.trials.spec import TrialPlan
from core.vocabulary import JOB_STATES, PRIORITIES

if TYPE_CHECKING:
    Priority = str
    JobState = str
    KindName = str
    Method = str
    Spec = Strict
    Result = BaseModel
else:
    Priority = Literal[PRIORITIES]
    JobState = Literal[JOB_STATES]
    KindName = Literal[tuple(KINDS)]
    Method = Literal[tuple(METHODS)]
    Spec = Union[tuple(kind.spec for kind in KINDS.values())]  # noqa: UP007
    Result = Union[tuple(kind.result for kind in KINDS.values())]  # noqa: UP007

#: What a body says besides the spec.
_BESIDES = ("kind", "dataset_id", "condensed_set_id", "name", "priority")


def _body(kind: Kind, suffix: str, *, needs_inputs: bool) -> type[Strict]:
    """The body that asks for a job of a kind: its spec, and what all have."""
    identifier: Any = Annotated[str, Field(max_length=64)]
    inputs = (identifier, ...) if needs_inputs else (identifier | None, None)
    fields: dict[str, Any] = {
        "kind": (Literal[kind.name], kind.name if kind.name == DEFAULT else ...),
        "dataset_id": inputs,
        **({"condensed_set_id": inputs} if kind.takes_condensed_set else {}),
        "name": (Name | None, None),
        "priority": (
            Priority,
            Field("normal", description="Jobs of a higher one go first; within one, owners take turns."),
        ),
    }
    given = {"dataset_id": "ds_0193c0ffee"}
    if kind.name != DEFAULT:
        given |= {"kind": kind.name}
    if kind.takes_condensed_set:
        given |= {"condensed_set_id": "cs_0193c0ffee"}
    base = type(
        f"{kind.spec.__name__}{suffix}",
        (kind.spec,),
        {
            "__module__": __name__,
            "__doc__": kind.spec.__doc__,
            "model_config": ConfigDict(
                extra="forbid",
                frozen=True,
                json_schema_extra={"examples": [given | dict(example) for example in kind.examples]},
            ),
        },
    )
    return create_model(f"{kind.name.capitalize()}{suffix}", __base__=base, **fields)


def _kind(body: Any) -> str:
    given = body.get("kind", DEFAULT) if isinstance(body, dict) else getattr(body, "kind", DEFAULT)
    return given if isinstance(given, str) else str(given)


_BY_KIND = Discriminator(
    _kind,
    custom_error_type="unknown_kind",
    custom_error_message=f"there is no such kind of work: {', '.join(KINDS)}",
)
CREATE = {name: _body(kind, "Create", needs_inputs=True) for name, kind in KINDS.items()}
_CHECK = {name: _body(kind, "Check", needs_inputs=False) for name, kind in KINDS.items()}

if TYPE_CHECKING:
    JobCreate = Strict
    JobCheck = Strict
else:
    JobCreate = Annotated[
        Union[tuple(Annotated[body, Tag(name)] for name, body in CREATE.items())],  # noqa: UP007
        _BY_KIND,
    ]
    JobCheck = Annotated[
        Union[tuple(Annotated[body, Tag(name)] for name, body in _CHECK.items())],  # noqa: UP007
        _BY_KIND,
    ]


def asked(body: JobCreate) -> Asked:
    """What a body asks for."""
    given: dict[str, Any] = {name: getattr(body, name, None) for name in _BESIDES}
    kind = KINDS[given.pop("kind")]
    # As it was sent: a spec can tell a default that was asked for from one that was not.
    spec = kind.spec.model_validate(body.model_dump(exclude=set(_BESIDES), exclude_unset=True))
    return Asked(kind=kind, spec=spec, **given)


class CostOut(BaseModel):
    """By arithmetic alone: before any work is done."""

    flops: int = Field(description="Of the whole job; a multiplication and an addition count as two.")
    flops_by_phase: dict[str, int]
    memory_bytes: int = Field(description="Of float32 tensors; the libraries come on top.")
    seconds: float | None = Field(description="At the speed of recent jobs; null if none was alike.")

    @classmethod
    def of(cls, cost: Cost, seconds: float | None) -> "CostOut":
        return cls(
            flops=cost.flops,
            flops_by_phase=dict(cost.flops_by_phase),
            memory_bytes=cost.memory_bytes,
            seconds=seconds,
        )


class JobCheckOut(BaseModel):
    """What a POST would make."""

    kind: KindName
    label: str = Field(description="What it is called if it has no name.")
    spec: Spec = Field(description="With all defaults filled in, if a data set was named.")
    cost: CostOut | None = Field(description="Null if no data set was named.")


class EvaluationOut(BaseModel):
    """Fresh networks trained on one set and tested once, at their last epoch, on the test split."""

    method: Method = Field(
        description="What they were trained on; `png` is the condensed set as its PNG files hold it."
    )
    network: str
    n: int = Field(description="Networks trained so far.")
    mean: float = Field(description="Mean accuracy, as a fraction.")
    std: float | None = Field(description="Sample standard deviation; null for one network.")
    accuracies: list[float]
    per_class: list[float | None] = Field(description="Mean accuracy of each class; null if none is tested.")
    confusion: list[list[int]] | None = Field(
        description="Counts of test images, summed over the networks: a row for each true class, a column "
        f"for each answer. Null above {CONFUSION_CLASSES} classes, and for what an older version evaluated."
    )
    protocol: str = Field(description="By which they were trained (docs/evaluation.md).")
    train_images: int = Field(description="That they were trained on: of collages, those they turn into.")
    epochs: int
    steps: int | None = Field(description="Training steps of each network.")
    seconds: float


class AccuracyOut(BaseModel):
    """Networks trained on the images as they were after an iteration, as the `condensed` ones are."""

    iteration: int
    mean: float = Field(description="Mean accuracy, as a fraction.")
    std: float | None = Field(description="Sample standard deviation; null for one network.")
    n: int = Field(description="Networks trained so far.")


class JobOut(Resource):
    kind: KindName
    name: str | None
    dataset_id: str | None = Field(description="Null once the data set was deleted.")
    condensed_set_id: str | None = Field(
        description="The condensed set that it works on, if its kind takes one; null once that was deleted."
    )
    made_set_id: str | None = Field(None, description="The condensed set that it has made.")
    data_hash: str = Field(description="The content hash of the data set.")
    state: JobState
    phase: str = Field(description="What it is, or was last, busy with: its kind says what there is.")
    priority: Annotated[Priority, BeforeValidator(PRIORITIES.__getitem__)]
    iteration: int = Field(description="Iterations done.")
    progress: dict[str, Any] | None = Field(
        description="The newest progress event. `done` of `total` is how far the whole job is, `text` says "
        "it in words, and `seconds_left` is an estimate for all that is left, where there can be one."
    )
    resumes: int = Field(description="How often it went on from a checkpoint.")
    attempts: int = Field(
        validation_alias="fence", description="How often a worker has taken it; at least once for each queue."
    )
    setbacks: dict[str, int] = Field(
        description="Attempts that ended early since the last progress, by cause, such as `worker_lost`."
    )
    retry_at: datetime | None = Field(
        description="When the job may be tried again, after an attempt that ended early."
    )
    spec: Spec
    evaluations: list[EvaluationOut] = []
    accuracies: list[AccuracyOut] = Field(
        [],
        description="Of the images while they form, on the job's own network, by iteration; empty unless "
        "`evaluation.points` asks for them.",
    )
    result: Result | None
    problem: Reason | None = Field(description="Why it failed.")
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def of_kind(self) -> Kind:
        return KINDS[self.kind]

    @property
    def plan(self) -> TrialPlan:
        return self.of_kind.plan(self.spec)

    @property
    def label(self) -> str:
        """What it is called where it has no name of its own."""
        return self.name or self.of_kind.label(self.spec)

    @classmethod
    def of(cls, session: Session, jobs: Sequence[Job]) -> "list[JobOut]":
        """Without evaluations and accuracies."""
        made = made_by_jobs(session, [job.id for job in jobs])
        return [_job(job, made.get(job.id)) for job in jobs]


def _job(job: Job, made_set_id: str | None) -> JobOut:
    kind = KINDS[job.kind]
    columns = {name: getattr(job, name) for name in JobOut.model_fields if hasattr(job, name)}
    return JobOut.model_validate(
        {
            **columns,
            "fence": job.fence,
            "made_set_id": made_set_id,
            "spec": kind.spec.model_validate(job.spec),
            "result": None if job.result is None else kind.result.model_validate(job.result),
        }
    )


class SnapshotOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    iteration: int
    size: int = Field(description="Bytes of the PNG at `/snapshots/{iteration}`.")
    sha256: str
    created_at: datetime


class MetricOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    iteration: int = Field(validation_alias="x")
    loss: float = Field(validation_alias="value")
    seconds: float = Field(description="Computing time since the start of the attempt that wrote it.")
