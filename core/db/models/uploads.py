"""Bytes that users sent, the files that hold them, and files that nothing refers to."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Owned
from core.db.types import db_now


class Blob(Base):
    """Bytes that at least one upload refers to, and the one file that holds them. Its key is never reused."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    file_key: Mapped[str] = mapped_column(String(255), unique=True)


class Orphan(Base):
    """A stored file that belongs to nothing, and when a sweep first found that (core/catalogue/sweep.py)."""

    __tablename__ = "orphans"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(default=db_now())


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
