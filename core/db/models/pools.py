"""Networks trained on a data set, kept for every job that matches in such."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Owned
from core.db.types import db_now


class PooledNetwork(Owned, Base):
    """One network of a pool: its weights at several moments are a blob.

    `data_hash` and `training_hash` (of `training`, what decides on the weights) say of which pool; `repeat`
    is its number there. `used_at`: when a job last took it.
    """

    __tablename__ = "pooled_networks"
    __table_args__ = (UniqueConstraint("owner", "data_hash", "training_hash", "repeat"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    data_hash: Mapped[str] = mapped_column(String(64))
    training_hash: Mapped[str] = mapped_column(String(64))
    training: Mapped[dict[str, Any]]
    repeat: Mapped[int]
    blob_key: Mapped[str] = mapped_column(String(255), unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    seconds: Mapped[float]
    used_at: Mapped[datetime] = mapped_column(default=db_now())
