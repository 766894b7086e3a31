"""Data sets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.schemas.common import Name, Reason, Request, Resource
from core.jobs.spec import Seed


class DatasetCreate(Request):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"upload_id": "up_0193c0ffee", "name": "digits", "image_size": 32}]},
    )

    upload_id: str = Field(max_length=64)
    name: Name | None = Field(None, description="Default: the upload's file name.")
    image_size: Annotated[
        int | None,
        Field(ge=16, le=256, description="Edge of the square images, in px. Default: theirs, or suggested."),
    ] = None
    seed: Seed = 0


class DatasetOut(Resource):
    name: str
    upload_id: str | None
    state: Literal["receiving", "ingesting", "ready", "invalid"]
    image_size: int | None
    images_done: int = Field(description="Images read so far, while ingesting.")
    images_total: int | None = Field(description="Images to read, once that is known.")
    content_hash: str | None = Field(description="SHA-256 of classes, pixels and labels.")
    manifest: dict[str, Any] | None = Field(
        description="Classes, splits, counts, mean and std, and the validation report; once ready."
    )
    problem: Reason | None = Field(description="Why it is invalid.")
    updated_at: datetime
    finished_at: datetime | None
