"""What the tables have in common: names of constraints, types by annotation, owners, leases."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.db.types import Json, UTCDateTime, db_now

Id = String(40)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: Json,
        list[str]: Json,
        list[float | None]: Json,
        list[list[int]]: Json,
        datetime: UTCDateTime,
    }


class Owned:
    """A row that belongs to somebody, and when it was made."""

    owner: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Leased:
    """A row that a worker works on: the row is the truth, a message only wakes somebody up.

    `fence` counts the claims; everything that an attempt writes is guarded by it, so an attempt that
    lost its lease can write nothing more. `lease_until` is null unless a worker holds the row.
    `setbacks` counts, by cause, the attempts that ended early since the last progress
    (core/work/retries.py); before `retry_at` nobody takes the row again. `dispatched_at` is when the last
    wake-up was sent; null asks the reaper for one at once.
    """

    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(255))
    setbacks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    retry_at: Mapped[datetime | None]
    dispatched_at: Mapped[datetime | None]
    event_seq: Mapped[int] = mapped_column(default=0)
    problem: Mapped[dict[str, Any] | None]
    updated_at: Mapped[datetime] = mapped_column(default=db_now())
    finished_at: Mapped[datetime | None]


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """A column has one of these values, and the database sees to it."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=f"{column}_known")
