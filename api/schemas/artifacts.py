"""Artifacts."""

from pydantic import Field

from api.schemas.common import Resource


class ArtifactOut(Resource):
    job_id: str
    format: str = Field(
        examples=["safetensors", "manifest", "npz", "pt", "parquet", "webdataset", "png", "preview"]
    )
    file_name: str
    media_type: str
    size: int
    sha256: str
