"""Condensed sets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.schemas.common import Name, Reason, Request, Resource
from core.condensed.merging import MOST_SETS
from core.condensed.published.stated import LabelRule

SetState = Literal["reading", "ready", "invalid"]
_Values = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1, max_length=4)]
_Index = Annotated[int, Field(ge=0, lt=2**31)]
_Id = Annotated[str, Field(max_length=64)]


class Statement(Request):
    """What the owner says of the files: it settles what they leave open, and overrides what they say."""

    space: Literal["normalised", "unit", "bytes", "whitened"] | None = Field(
        None,
        description="What the pixels are: (x - mean) / std of x in [0, 1], x itself, 0 to 255, ZCA-whitened.",
    )
    mean: _Values | None = Field(
        None, description="What they are (or are to be) normalised by, by channel, of pixels in [0, 1]."
    )
    std: _Values | None = Field(None, description="As `mean`; both, or neither.")
    of_data_set: bool = Field(False, description="The mean and std are those of the data set.")
    factor: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None, description="f of collages of f × f tiles that are to be decoded; 1 if there are none."
    )
    experiment: _Index | None = Field(None, description="Which of several sets in one file, from 0.")
    labels: LabelRule | None = Field(
        None,
        description="`class-major` if the file holds none: N / classes images of class 0, then of class 1, …;"
        " `argmax` to take the largest of soft ones.",
    )
    class_order: list[_Index] | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="By class of the file, the index of the same class in the data set.",
    )


class CondensedSetCreate(Request):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"upload_id": "up_0193c0ffee", "name": "ours again"},
                {
                    "upload_id": "up_0193c0ffee",
                    "dataset_id": "ds_0193c0ffee",
                    "license": "mit",
                    "stated": {"space": "normalised", "of_data_set": True, "experiment": 4},
                },
            ]
        },
    )

    upload_id: _Id
    name: Name | None = Field(None, description="Default: the file name of the upload.")
    license: Name | None = Field(None, description="Of the images; it goes into the set's card.")
    dataset_id: _Id | None = Field(
        None,
        description="The data set that it stands for, whose classes, and unless the files or `stated` say "
        "otherwise, whose normalisation it has. Not needed for files that this service has written.",
    )
    stated: Statement = Field(default_factory=lambda: Statement.model_validate({}))


class CondensedSetMerge(Request):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"condensed_set_ids": ["cs_0193c0ffee", "cs_0193c0ffef"], "name": "memory"}]
        },
    )

    condensed_set_ids: list[_Id] = Field(
        min_length=2,
        max_length=MOST_SETS,
        json_schema_extra={"uniqueItems": True},
        description="Sets of one shape and normalisation; of any two, the classes are equal or disjoint.",
    )
    name: Name | None = Field(None, description="Default: their names, joined.")


class CondensedSetOut(Resource):
    name: str
    state: SetState
    job_id: str | None = Field(description="The job that made it, if one did.")
    upload_id: str | None = Field(description="What it was read from, if it was; null once that was deleted.")
    dataset_id: str | None = Field(description="The data set that it stands for; null once that was deleted.")
    parents: list[str] | None = Field(description="The sets that it was merged of.")
    stated: dict[str, Any] | None = Field(description="What its owner said of the files.")
    license: str | None
    form: str = Field(
        description="How images are stored: `pixels`, or `collage-f` where a stored one turns into f²."
    )
    classes: int | None = Field(description="How many; their names are in `manifest`.")
    channels: int | None
    image_size: int | None = Field(description="Edge of the square images, in px.")
    stored: int | None = Field(description="Images per class as they were stored, of the largest class.")
    decoded: int | None = Field(description="Images per class that are trained on, of the largest class.")
    data_hash: str | None = Field(description="The content hash of the data set that it stands for.")
    manifest: dict[str, Any] | None = Field(
        description="Class names, mean and std; of files that were read also their layout and what was "
        "noticed of them."
    )
    problem: Reason | None = Field(
        description="Why it is invalid. `condensed_set_unclear`: the files leave something open; each of "
        "`findings` with the severity `ask` names in `answer` the field of `stated` that settles it."
    )
    updated_at: datetime
    finished_at: datetime | None
