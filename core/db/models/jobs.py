"""Jobs, and what their attempts write on the way: curves, checkpoints, snapshots."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Leased, Owned, one_of
from core.vocabulary import JOB_STATES, PRIORITIES, QUEUES


class Job(Owned, Leased, Base):
    """Work of some kind (core/kinds), done phase by phase; `queue` serves the phase that it is in.

    `condensed_set_id` is the set that it works on, if its kind takes one; the set that it makes points here.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("state", JOB_STATES),
        one_of("queue", QUEUES),
        CheckConstraint(f"priority BETWEEN 0 AND {len(PRIORITIES) - 1}", name="priority_known"),
        Index(None, "owner", "id"),
        Index(None, "owner", "started_at"),
        Index(None, "finished_at"),
        # All that core/work/scheduling.py reads of a waiting job. No other begins with the state: of jobs
        # that came after its last ANALYZE PostgreSQL knows nothing, and would take the wrong one.
        Index(None, "state", "priority", "owner", "queue", "retry_at", "id"),
    )
    id_prefix: ClassVar = "job"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), default="condense")
    name: Mapped[str | None] = mapped_column(String(200))
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    condensed_set_id: Mapped[str | None] = mapped_column(
        ForeignKey("condensed_sets.id", ondelete="SET NULL", use_alter=True), index=True
    )
    data_hash: Mapped[str] = mapped_column(String(64))
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(SmallInteger, default=PRIORITIES.index("normal"))
    iteration: Mapped[int] = mapped_column(default=0)
    progress: Mapped[dict[str, Any] | None]
    resumes: Mapped[int] = mapped_column(default=0)
    result: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]


class Metric(Owned, Base):
    """A point of a curve of a job, such as the series `loss` by iteration. A resumed attempt may repeat
    points, under its own fence."""

    __tablename__ = "metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    series: Mapped[str] = mapped_column(String(40), primary_key=True, default="loss")
    fence: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]
    seconds: Mapped[float]


class Checkpoint(Owned, Base):
    """A state to go on from. Its blob is under the fence that wrote it and never overwritten."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    blob_key: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class Snapshot(Owned, Base):
    """A picture of the synthetic images after `iteration` iterations, by the last attempt that came there."""

    __tablename__ = "snapshots"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    fence: Mapped[int]
    blob_key: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
