"""Uploads."""

from datetime import datetime
from typing import Literal, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Resource
from core.catalogue.resumable import Progress
from core.db.models import Upload


class UploadOut(Resource):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "up_0193c0ffee",
                    "file_name": "digits.zip",
                    "size": 1203456,
                    "state": "complete",
                    "offset": 1203456,
                    "expires_at": None,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "created_at": "2026-11-21T09:00:00Z",
                }
            ]
        },
    )

    file_name: str | None
    size: int = Field(description="Bytes of the whole, as announced while it is `receiving`.")
    state: Literal["receiving", "complete"]
    offset: int = Field(description="Bytes that have come.")
    expires_at: datetime | None = Field(description="When an upload that is not complete is removed.")
    sha256: str | None = Field(description="Of the bytes, once they are complete.")

    @classmethod
    def of(cls, upload: Upload, progress: Progress) -> Self:
        return cls(
            id=upload.id,
            created_at=upload.created_at,
            file_name=upload.file_name,
            size=upload.size,
            state="receiving" if upload.sha256 is None else "complete",
            offset=progress.offset,
            expires_at=progress.expires_at,
            sha256=upload.sha256,
        )
