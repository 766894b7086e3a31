"""Data sets: what is known of each; the images are blobs under its `blob_prefix`."""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Leased, Owned, one_of
from core.vocabulary import DATASET_STATES


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
