"""priorities, setbacks by cause, and the bytes of a data set

Plain ALTERs on SQLite, too: to rebuild `datasets` would set the `dataset_id` of every job to null.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.db.types import Json

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LINE = ["state", "priority", "owner", "phase", "retry_at", "id"]


def upgrade() -> None:
    for name in ("datasets", "jobs"):
        op.add_column(name, sa.Column("setbacks", Json, nullable=False, server_default="{}"))
        op.add_column(name, sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
        _carry_over(name)
        op.drop_column(name, "failures")
    op.add_column("datasets", sa.Column("size", sa.BigInteger(), nullable=False, server_default="0"))
    _measure()
    op.execute(
        "ALTER TABLE jobs ADD COLUMN priority SMALLINT DEFAULT 1 NOT NULL "
        "CONSTRAINT ck_jobs_priority_known CHECK (priority BETWEEN 0 AND 2)"
    )
    op.create_index(op.f("ix_jobs_owner_started_at"), "jobs", ["owner", "started_at"])
    op.create_index(op.f(f"ix_jobs_{'_'.join(_LINE)}"), "jobs", _LINE)


def _carry_over(name: str) -> None:
    rows = sa.table(name, sa.column("id"), sa.column("failures"), sa.column("setbacks", Json))
    connection = op.get_bind()
    for row in connection.execute(sa.select(rows.c.id, rows.c.failures).where(rows.c.failures > 0)).all():
        connection.execute(
            rows.update().where(rows.c.id == row.id).values(setbacks={"worker_lost": row.failures})
        )


def _measure() -> None:
    """Pixels of uint8 and labels of int64, as core/data/canonical/split_writer.py writes them."""
    rows = sa.table("datasets", sa.column("id"), sa.column("size"), sa.column("manifest", Json))
    connection = op.get_bind()
    for row in connection.execute(sa.select(rows.c.id, rows.c.manifest)).all():
        if row.manifest is not None:
            connection.execute(rows.update().where(rows.c.id == row.id).values(size=_size(row.manifest)))


def _size(manifest: dict[str, Any]) -> int:
    image = manifest["image_size"] ** 2 * manifest["channels"]
    return sum(split["count"] * (image + 8) for split in manifest["splits"].values())


def downgrade() -> None:
    op.drop_index(op.f(f"ix_jobs_{'_'.join(_LINE)}"), "jobs")
    op.drop_index(op.f("ix_jobs_owner_started_at"), "jobs")
    op.drop_column("datasets", "size")
    for name in ("datasets", "jobs"):
        op.add_column(name, sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        op.drop_column(name, "retry_at")
        op.drop_column(name, "setbacks")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(op.f("ck_jobs_priority_known"), type_="check")
        jobs.drop_column("priority")
