"""The worker registry: who works, where, on which queues."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id
from core.db.types import db_now


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
