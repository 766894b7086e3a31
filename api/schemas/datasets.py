"""Data sets."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas.common import NO_CONTROLS, Name, Reason, Request, Resource
from core.trials.spec import Seed


class DatasetCreate(Request):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"upload_id": "up_0193c0ffee", "name": "digits", "image_size": 32}],
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}, other: {"type": "null"}}}
                for name, other in (("upload_id", "path"), ("path", "upload_id"))
            ],
        },
    )

    upload_id: str | None = Field(None, max_length=64, description="This, or `path`.")
    path: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        pattern=NO_CONTROLS,
        description="A file or folder of the server, read in place; under one of its import_dirs.",
    )
    name: Name | None = Field(None, description="Default: the file name of the upload or of the path.")
    license: Name | None = Field(
        None,
        description="Of the images; it goes into the cards of what is made from them.",
        examples=["cc-by-4.0"],
    )
    image_size: Annotated[
        int | None,
        Field(ge=16, le=256, description="Edge of the square images, in px. Default: theirs, or suggested."),
    ] = None
    channels: Literal[1, 3, 4] | None = Field(
        None,
        description="Grey, colour, or colour with opacity. Default: 1 if every image is grey, 4 for arrays "
        "with four channels, else 3 (transparency laid over white).",
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.upload_id is None) == (self.path is None):
            raise ValueError("exactly one of upload_id and path must be given")
        return self


class DatasetOut(Resource):
    name: str
    upload_id: str | None
    license: str | None = Field(description="As stated by whoever made the data set; null if it was not.")
    path: str | None = Field(
        validation_alias="source_path", description="Where on the server it was read from, if not an upload."
    )
    state: Literal["receiving", "ingesting", "ready", "invalid"]
    image_size: int | None
    channels: int | None
    images_done: int = Field(description="Images read so far, while ingesting.")
    images_total: int | None = Field(description="Images to read, once that is known.")
    content_hash: str | None = Field(description="SHA-256 of classes, pixels and labels.")
    manifest: dict[str, Any] | None = Field(
        description="Classes, splits, counts, mean and std, and the validation report; once ready."
    )
    problem: Reason | None = Field(description="Why it is invalid.")
    updated_at: datetime
    finished_at: datetime | None


class UsualCostOut(BaseModel):
    """Of a job with one recipe and one ipc, everything else being left to its default."""

    recipe: str
    ipc: int
    iterations: int
    pool_flops: int = Field(
        description="Of networks that are trained first, unless an earlier job on the same images has done "
        "so; 0 of a recipe that needs none."
    )
    condensation_flops: int = Field(description="A multiplication and an addition count as two.")
    evaluation_flops: int = Field(description="Of all networks, on the condensed set and its baselines.")
    memory_bytes: int = Field(description="Images and activations; the libraries come on top.")
    seconds: float | None = Field(
        description="Of condensation and evaluation, at the speed of the recent job whose iterations were "
        "most like these in FLOPs; null while none was within a factor of ten."
    )


class ReportOut(BaseModel):
    """What is in a data set, what is odd about it, and what to do with it. It refuses nothing."""

    model_config = ConfigDict(extra="allow")

    warnings: list[Reason] = Field([], description="The gravest first, such as `test_leakage`.")
    suggestions: dict[str, Any] = Field({}, description="Image size, sensible ipc, and the choice of flips.")
    source_format: str = Field(description="The layout that was found, such as `imagefolder`.")
    classes: list[str]
    splits: dict[str, Any] = Field(description="Of each split its images, in all and by class.")
    split_rule: str = Field(description="How train and test came about.")
    image_size: int
    resize: dict[str, Any] = Field({}, description="The rule by which images became squares.")
    channels: int
    conversion: dict[str, Any] = Field({}, description="The rule by which they got their channels.")
    costs: list[UsualCostOut] = Field(description="By recipe, then by ipc.")
