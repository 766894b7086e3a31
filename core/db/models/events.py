"""The history of data sets, condensed sets and jobs."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Owned


class Event(Owned, Base):
    """What happened to a data set or a job: append-only, `seq` without gaps from 1."""

    __tablename__ = "events"

    subject_id: Mapped[str] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]
