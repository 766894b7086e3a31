"""one index of jobs that begins with their state

The other's second column changed with every heartbeat.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_index(op.f("ix_jobs_state_lease_until"), "jobs")


def downgrade() -> None:
    op.create_index(op.f("ix_jobs_state_lease_until"), "jobs", ["state", "lease_until"])
