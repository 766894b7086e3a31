"""Artifacts."""

from pydantic import Field

from api.schemas.common import Resource
from core.export.formats import FORMATS, OFFERED, RESULTS


class ArtifactOut(Resource):
    job_id: str | None = Field(description="Null of a set that no job has made.")
    condensed_set_id: str | None = Field(description="Null of a job's results.")
    format: str = Field(
        description="; ".join(f"`{one.name}`: {one.file_name}" for one in (*FORMATS, *RESULTS)),
        json_schema_extra={"enum": list(OFFERED)},
    )
    file_name: str
    media_type: str
    size: int
    sha256: str
