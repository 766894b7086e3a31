"""What an evaluation has found, beside its trials."""

from typing import Any

from pydantic import BaseModel, Field


class EvaluateResult(BaseModel):
    """Before the export, the environments alone."""

    environment: dict[str, Any]
    hlr: float | None = Field(None, description="Accuracy of whole minus condensed, as a fraction.")
    ior: float | None = Field(None, description="Accuracy of condensed minus random, as a fraction.")
    renormalised: bool = Field(
        False, description="Whether the set was normalised otherwise than the data set, and so was converted."
    )
    seconds: dict[str, float] | None = Field(
        None, description="Wall-clock time that workers spent in each phase, over all attempts."
    )
