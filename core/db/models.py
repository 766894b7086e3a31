"""The tables. Every row that users see has an owner; every query of the API is scoped by it."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base as Base  # from here, or its metadata would lack the tables
from core.db.base import Id, Leased, Owned, one_of
from core.db.types import db_now
from core.jobs.states import DATASET_STATES, JOB_STATES, PHASES, PRIORITIES
from core.webhooks.events import DELIVERY_STATES


class ApiKey(Owned, Base):
    """A credential. Only the SHA-256 of its secret (256 random bits) is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SignIn(Base):
    """A browser that exchanged a key for a cookie. Only the SHA-256 of the cookie's token is kept."""

    __tablename__ = "sign_ins"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=db_now())
    expires_at: Mapped[datetime]


class IdempotencyKey(Owned, Base):
    """What a client's `Idempotency-Key` made, so that a repeated request makes nothing new."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(Id)


class Blob(Base):
    """Bytes that at least one upload refers to, and the one file that holds them. Its key is never reused."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    file_key: Mapped[str] = mapped_column(String(255), unique=True)


class Upload(Owned, Base):
    """Bytes that a user sent, to make data sets from, or, without `sha256`, is still sending in pieces.

    Of a resumable upload: `size` and `announced_sha256` are as announced, `tus_metadata` is the header that
    made it, and bytes from `unverified_from` on are of a piece whose checksum has not been compared.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "owner", "id"), Index(None, "sha256"))

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    file_name: Mapped[str | None] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    announced_sha256: Mapped[str | None] = mapped_column(String(64))
    tus_metadata: Mapped[str | None] = mapped_column(Text)
    unverified_from: Mapped[int | None] = mapped_column(BigInteger)


class Dataset(Owned, Leased, Base):
    """A labelled image set, from its upload to its canonical form (core/data)."""

    __tablename__ = "datasets"
    __table_args__ = (
        one_of("state", DATASET_STATES),
        Index(None, "owner", "id"),
        Index(None, "state", "lease_until"),
    )
    id_prefix: ClassVar = "ds"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    upload_id: Mapped[str | None] = mapped_column(ForeignKey("uploads.id", ondelete="SET NULL"), index=True)
    source_path: Mapped[str | None] = mapped_column(String(4096))
    license: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    image_size: Mapped[int | None] = mapped_column(Integer)
    channels: Mapped[int | None] = mapped_column(Integer)
    seed: Mapped[int] = mapped_column(BigInteger, default=0)
    images_done: Mapped[int] = mapped_column(BigInteger, default=0)
    images_total: Mapped[int | None] = mapped_column(BigInteger)
    manifest: Mapped[dict[str, Any] | None]
    content_hash: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    blob_prefix: Mapped[str | None] = mapped_column(String(255))


class Job(Owned, Leased, Base):
    """One condensation with its evaluation and its artifacts."""

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("state", JOB_STATES),
        one_of("phase", PHASES),
        CheckConstraint(f"priority BETWEEN 0 AND {len(PRIORITIES) - 1}", name="priority_known"),
        Index(None, "owner", "id"),
        Index(None, "owner", "started_at"),
        Index(None, "finished_at"),
        # The whole of what core/jobs/line.py reads of a waiting job. No other begins with the state: of jobs
        # that came after its last look PostgreSQL knows nothing, and would take the wrong one.
        Index(None, "state", "priority", "owner", "phase", "retry_at", "id"),
    )
    id_prefix: ClassVar = "job"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    data_hash: Mapped[str] = mapped_column(String(64))
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(SmallInteger, default=PRIORITIES.index("normal"))
    iteration: Mapped[int] = mapped_column(default=0)
    progress: Mapped[dict[str, Any] | None]
    resumes: Mapped[int] = mapped_column(default=0)
    result: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]


class Event(Owned, Base):
    """What happened to a data set or a job: append-only, `seq` without gaps from 1."""

    __tablename__ = "events"

    subject_id: Mapped[str] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]


class Metric(Owned, Base):
    """A point of the loss curve. A resumed attempt may repeat iterations, under its own fence."""

    __tablename__ = "metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    loss: Mapped[float]
    seconds: Mapped[float]


class Evaluation(Owned, Base):
    """One network, trained from scratch on one training set and tested once, at its last epoch."""

    __tablename__ = "evaluations"
    __table_args__ = (UniqueConstraint("job_id", "method", "network", "repeat"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    fence: Mapped[int]
    method: Mapped[str] = mapped_column(String(40))
    network: Mapped[str] = mapped_column(String(80))
    repeat: Mapped[int]
    epochs: Mapped[int]
    train_images: Mapped[int] = mapped_column(BigInteger)
    accuracy: Mapped[float]
    per_class: Mapped[list[float | None]]
    confusion: Mapped[list[list[int]] | None]
    seconds: Mapped[float]


class AccuracyPoint(Owned, Base):
    """One network, trained on the synthetic images after `iteration` iterations as on the finished set."""

    __tablename__ = "accuracy_points"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    repeat: Mapped[int] = mapped_column(primary_key=True)
    fence: Mapped[int]
    accuracy: Mapped[float]
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


class Artifact(Owned, Base):
    """A file that a finished job offers."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "format"), Index(None, "owner", "id"))

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    fence: Mapped[int]
    format: Mapped[str] = mapped_column(String(40))
    file_name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    blob_key: Mapped[str] = mapped_column(String(255))


class Webhook(Owned, Base):
    """Where an owner is told of what happens (core/webhooks).

    `events` is null for all of them. The secrets are kept as they are: a signature cannot be made of a hash.
    `failing_since` is the first failure after the last delivery; `disabled_reason` is null unless the
    service itself disabled it.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "owner", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str | None] = mapped_column(String(200))
    events: Mapped[list[str] | None]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    failing_since: Mapped[datetime | None]
    secret: Mapped[str] = mapped_column(String(80))
    old_secret: Mapped[str | None] = mapped_column(String(80))
    old_secret_until: Mapped[datetime | None]


class Delivery(Owned, Base):
    """One thing that a webhook is told, however many attempts it takes: a row of the outbox and the log.

    `body` is what is signed and sent, byte for byte. `next_attempt_at` is null once nothing is to be sent;
    while `claimed_until` is ahead, a sender has it. The retries start anew after `attempts_before` attempts.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("state", DELIVERY_STATES),
        Index(None, "webhook_id", "id"),
        Index(None, "state", "next_attempt_at", "webhook_id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    attempts_before: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[datetime | None]


class Worker(Base):
    """A worker's main process, which writes `seen_at` at every heartbeat. `slots` counts them by queue."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(40))
    queues: Mapped[list[str]]
    slots: Mapped[dict[str, Any]]
    device: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(default=db_now())
    seen_at: Mapped[datetime] = mapped_column(default=db_now())
