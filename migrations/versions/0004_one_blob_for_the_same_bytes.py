"""one blob for the same bytes, and uploads that arrive in pieces

Plain ALTERs on SQLite, too: to rebuild `uploads` would set the `upload_id` of every data set to null.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("file_key", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
        sa.UniqueConstraint("file_key", name=op.f("uq_blobs_file_key")),
    )
    # Of several files with the same bytes the first stays; the worker removes the others.
    op.execute(
        "INSERT INTO blobs (sha256, size, file_key) "
        "SELECT sha256, min(size), min(blob_key) FROM uploads GROUP BY sha256"
    )
    op.drop_index("ix_uploads_sha256", "uploads")
    op.execute("ALTER TABLE uploads RENAME COLUMN sha256 TO old_sha256")
    op.execute(
        "ALTER TABLE uploads ADD COLUMN sha256 VARCHAR(64) "
        "CONSTRAINT fk_uploads_sha256_blobs REFERENCES blobs (sha256)"
    )
    op.execute("UPDATE uploads SET sha256 = old_sha256")
    op.create_index("ix_uploads_sha256", "uploads", ["sha256"])
    op.drop_column("uploads", "old_sha256")
    op.drop_column("uploads", "blob_key")
    op.add_column("uploads", sa.Column("announced_sha256", sa.String(length=64), nullable=True))
    op.add_column("uploads", sa.Column("tus_metadata", sa.Text(), nullable=True))
    op.add_column("uploads", sa.Column("unverified_from", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Uploads that are still being received go: the older schema has no place for them.

    Uploads with the same bytes share one file from then on, which the deletion of either takes away.
    """
    op.execute("DELETE FROM uploads WHERE sha256 IS NULL")
    for column in ("unverified_from", "tus_metadata", "announced_sha256"):
        op.drop_column("uploads", column)
    op.drop_index("ix_uploads_sha256", "uploads")
    op.execute("ALTER TABLE uploads RENAME COLUMN sha256 TO new_sha256")
    for column, length in (("sha256", 64), ("blob_key", 255)):
        op.add_column(
            "uploads", sa.Column(column, sa.String(length=length), nullable=False, server_default="")
        )
    op.execute(
        "UPDATE uploads SET sha256 = new_sha256, blob_key = "
        "(SELECT file_key FROM blobs WHERE blobs.sha256 = uploads.new_sha256)"
    )
    op.drop_column("uploads", "new_sha256")
    op.create_index("ix_uploads_sha256", "uploads", ["sha256"])
    op.drop_table("blobs")
