"""Bodies that say exactly what is meant: what requests and stored specs have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

#: Of one object. Far more than any has, and few enough that naming each unknown one costs nothing.
MAX_FIELDS = 100


def few_fields(value: Any) -> Any:
    """A body of a megabyte can have a hundred thousand fields, and pydantic an error for each."""
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise ValueError(f"an object may have {MAX_FIELDS} fields, this one has {len(value)}")
    return value


class Strict(BaseModel):
    """Unknown fields are an error: a misspelt setting must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    _few_fields = model_validator(mode="before")(few_fields)
