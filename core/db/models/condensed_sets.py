"""Condensed sets, and the files that they are offered as."""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Leased, Owned, one_of
from core.vocabulary import CONDENSED_SET_STATES


class CondensedSet(Owned, Leased, Base):
    """Synthetic images with their labels: made by a job, read from an upload, or merged of other sets.

    `stated` is what its owner said of uploaded files (their normalisation, …), `parents` the ids of the sets
    that it was merged of. `stored` and `decoded` are images per class; they differ where the form packs
    several images into one. `manifest` has class names, mean and std, as the artifact of that name.
    """

    __tablename__ = "condensed_sets"
    __table_args__ = (
        one_of("state", CONDENSED_SET_STATES),
        Index(None, "owner", "id"),
        Index(None, "state", "lease_until"),
    )
    id_prefix: ClassVar = "cs"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    upload_id: Mapped[str | None] = mapped_column(ForeignKey("uploads.id", ondelete="SET NULL"), index=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    parents: Mapped[list[str] | None]
    stated: Mapped[dict[str, Any] | None]
    data_hash: Mapped[str | None] = mapped_column(String(64))
    form: Mapped[str] = mapped_column(String(40), default="pixels")
    classes: Mapped[int | None]
    channels: Mapped[int | None]
    image_size: Mapped[int | None]
    stored: Mapped[int | None]
    decoded: Mapped[int | None]
    manifest: Mapped[dict[str, Any] | None]
    license: Mapped[str | None] = mapped_column(String(200))
    blob_prefix: Mapped[str | None] = mapped_column(String(255))


class Artifact(Owned, Base):
    """A file that a condensed set offers, or that a finished job does whose kind makes none."""

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("job_id", "format"),
        UniqueConstraint("condensed_set_id", "format"),
        Index(None, "owner", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    condensed_set_id: Mapped[str | None] = mapped_column(ForeignKey("condensed_sets.id", ondelete="CASCADE"))
    fence: Mapped[int]
    format: Mapped[str] = mapped_column(String(40))
    file_name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    blob_key: Mapped[str] = mapped_column(String(255))
