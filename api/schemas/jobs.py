"""Jobs, their evaluations and their loss curve."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.schemas.common import Name, Reason, Resource
from core.jobs.results import CONFUSION_CLASSES, NAMED_CLASSES
from core.jobs.spec import JobSpec
from core.jobs.states import PRIORITIES

Priority = Literal["low", "normal", "high"]


class JobCreate(JobSpec):
    """A condensation to be done."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"dataset_id": "ds_0193c0ffee", "ipc": 10},
                {"dataset_id": "ds_0193c0ffee", "ipc": 10, "recipe": "fast"},
                {
                    "dataset_id": "ds_0193c0ffee",
                    "ipc": 10,
                    "iterations": 300,
                    "network": {"width": 32},
                    "augment": "color_crop_cutout_scale_rotate",
                    "evaluation": {"networks": 3, "epochs": 300, "baselines": ["random"]},
                    "seed": 7,
                },
                {
                    "dataset_id": "ds_0193c0ffee",
                    "ipc": 10,
                    "evaluation": {
                        "baselines": ["random", "herding", "k-center", "whole"],
                        "cross_architecture": [{"norm": "batch"}, {"width": 256, "depth": 4}],
                    },
                },
            ]
        },
    )

    dataset_id: str = Field(max_length=64)
    name: Name | None = None
    priority: Priority = Field(
        "normal", description="Jobs of a higher one go first; within one, owners take turns."
    )


class EvaluationOut(BaseModel):
    """Fresh networks trained on one set and tested once, at their last epoch, on the test split."""

    method: Literal["condensed", "png", "random", "herding", "k-center", "whole"] = Field(
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
    train_images: int
    epochs: int
    seconds: float


class AccuracyOut(BaseModel):
    """Networks trained on the images as they were after an iteration, as the `condensed` ones are."""

    iteration: int
    mean: float = Field(description="Mean accuracy, as a fraction.")
    std: float | None = Field(description="Sample standard deviation; null for one network.")
    n: int = Field(description="Networks trained so far.")


class SmallClassOut(BaseModel):
    name: str
    images: int = Field(description="In the training split.")


class SmallClassesOut(BaseModel):
    limit: int
    count: int = Field(description="Classes with fewer training images than the limit, but with some.")
    first: list[SmallClassOut] = Field(description=f"The first {NAMED_CLASSES} of them.")


class SmallByLimitOut(BaseModel):
    batch_real: SmallClassesOut = Field(description="Their real batches repeat images.")
    ipc: SmallClassesOut = Field(
        description="Their images are repeated in the baselines' selections, and in the initial images if "
        "these are real ones."
    )


class ResultOut(BaseModel):
    """Before the export, the environment alone."""

    environment: dict[str, Any]
    hlr: float | None = Field(None, description="Accuracy of whole minus condensed, as a fraction.")
    ior: float | None = Field(None, description="Accuracy of condensed minus random, as a fraction.")
    micro_batch: int | None = Field(
        None, description="Images embedded at once after memory ran out; null if it never did."
    )
    small_classes: SmallByLimitOut | None = Field(None, description="Null in results of older versions.")
    seconds: dict[Literal["condense", "evaluate", "export"], float] | None = Field(
        None,
        description="Wall-clock time that workers spent in each phase, over all attempts: what a resumed one "
        "did again counts again, waiting in a queue does not. Null in results of older versions.",
    )
    flops_per_iteration: int | None = Field(
        None, description="Of the dry run; a multiplication and an addition count as two."
    )
    flops_per_second: float | None = Field(None, description="Of the dry run.")


class JobOut(Resource):
    name: str | None
    dataset_id: str | None = Field(description="Null once the data set was deleted.")
    data_hash: str = Field(description="The content hash of the data set.")
    state: Literal["queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"]
    phase: Literal["condense", "evaluate", "export"] = Field(
        description="What it is, or was last, busy with."
    )
    priority: Annotated[Priority, BeforeValidator(PRIORITIES.__getitem__)]
    iteration: int = Field(description="Iterations done.")
    progress: dict[str, Any] | None = Field(description="The newest progress event.")
    resumes: int = Field(description="How often it went on from a checkpoint.")
    attempts: int = Field(
        validation_alias="fence", description="How often a worker has taken it; at least once for each queue."
    )
    setbacks: dict[str, int] = Field(
        description="Attempts that ended early since the last progress, by cause, such as `worker_lost`."
    )
    retry_at: datetime | None = Field(description="Before this it is not tried again after a setback.")
    spec: JobSpec
    evaluations: list[EvaluationOut] = []
    accuracies: list[AccuracyOut] = Field(
        [],
        description="Of the images while they form, on the job's own network, by iteration; empty unless "
        "`evaluation.points` asks for them.",
    )
    result: ResultOut | None
    problem: Reason | None = Field(description="Why it failed.")
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class SnapshotOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    iteration: int
    size: int = Field(description="Bytes of the PNG at `/snapshots/{iteration}`.")
    sha256: str
    created_at: datetime


class MetricOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    iteration: int
    loss: float
    seconds: float = Field(description="Computing time since the start of the attempt that wrote it.")
