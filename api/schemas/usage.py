"""What an owner uses of the service."""

from typing import Self

from pydantic import BaseModel, Field

from core.catalogue.usage import Usage
from core.settings import Settings


class StoredBytes(BaseModel):
    uploads: int = Field(description="The same bytes uploaded twice count twice; announced ones count.")
    datasets: int
    checkpoints: int
    snapshots: int
    artifacts: int
    pools: int = Field(description="Networks trained on data sets, kept for further jobs.")
    total: int
    limit: int | None = Field(description="Null: none.")


class JobCounts(BaseModel):
    queued: int = Field(description="Queued or paused.")
    queued_limit: int
    running: int = Field(description="In a worker's hands.")
    running_limit: int = Field(description="More than these wait, however many workers are free.")


class UsageOut(BaseModel):
    stored_bytes: StoredBytes
    jobs: JobCounts

    @classmethod
    def of(cls, usage: Usage, settings: Settings) -> Self:
        return cls(
            stored_bytes=StoredBytes(
                uploads=usage.upload_bytes,
                datasets=usage.dataset_bytes,
                checkpoints=usage.checkpoint_bytes,
                snapshots=usage.snapshot_bytes,
                artifacts=usage.artifact_bytes,
                pools=usage.pool_bytes,
                total=usage.stored_bytes,
                limit=settings.owner_stored_bytes,
            ),
            jobs=JobCounts(
                queued=usage.waiting_jobs,
                queued_limit=settings.owner_queued_jobs,
                running=usage.running_jobs,
                running_limit=settings.owner_running_jobs,
            ),
        )
