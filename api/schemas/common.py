"""What several resources share."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.strict import few_fields

#: PostgreSQL keeps no NUL, and nobody can read the other control characters.
NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_CONTROLS)]


class Request(BaseModel):
    """A body: unknown fields are an error, since a misspelt setting must not be ignored."""

    model_config = ConfigDict(extra="forbid")

    _few_fields = model_validator(mode="before")(few_fields)


class Resource(BaseModel):
    """An answer, read from a row."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_at: datetime


class Reason(BaseModel):
    """Why something failed: a stable code, a sentence, and the facts it names."""

    model_config = ConfigDict(extra="allow")

    code: str
    detail: str


class EventOut(BaseModel):
    """One entry of the append-only history of a data set or a job."""

    model_config = ConfigDict(from_attributes=True)

    seq: int = Field(description="1, 2, 3 … without gaps.")
    type: str = Field(examples=["queued", "running", "progress", "evaluated", "succeeded"])
    data: dict[str, Any]
    created_at: datetime
