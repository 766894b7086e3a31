"""networks trained on a data set, kept across jobs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from core.db.types import Json

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "pooled_networks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("training_hash", sa.String(length=64), nullable=False),
        sa.Column("training", Json, nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("blob_key", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pooled_networks")),
        sa.UniqueConstraint("blob_key", name=op.f("uq_pooled_networks_blob_key")),
        sa.UniqueConstraint(
            "owner",
            "data_hash",
            "training_hash",
            "repeat",
            name=op.f("uq_pooled_networks_owner_data_hash_training_hash_repeat"),
        ),
    )


def downgrade() -> None:
    op.drop_table("pooled_networks")
