"""Uploads."""

from pydantic import ConfigDict, Field

from api.schemas.common import Resource


class UploadOut(Resource):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "up_0193c0ffee",
                    "file_name": "digits.zip",
                    "size": 1203456,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "created_at": "2026-11-21T09:00:00Z",
                }
            ]
        },
    )

    file_name: str | None
    size: int = Field(description="Bytes.")
    sha256: str
