"""Workers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class WorkerOut(BaseModel):
    """A worker that has not signed off; one that died is listed for a day."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    host: str
    version: str
    queues: list[str] = Field(examples=[["cpu", "gpu"]])
    slots: dict[str, int] = Field(description="How many rows of a queue it works on at a time.")
    device: str = Field(examples=["NVIDIA H100 80GB HBM3"])
    started_at: datetime
    seen_at: datetime = Field(description="Its last heartbeat.")
