"""jobs of any kind, trials, condensed sets

On SQLite `jobs`, `metrics` and `artifacts` are rebuilt: migrations/env.py keeps foreign keys from acting on it.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.db.types import Json

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OLD_CLAIM_ORDER = ["state", "priority", "owner", "phase", "retry_at", "id"]
_CLAIM_ORDER = ["state", "priority", "owner", "queue", "retry_at", "id"]


def _leased() -> list[sa.Column[object]]:
    return [
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("setbacks", Json, nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("problem", Json, nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    ]


def upgrade() -> None:
    _condensed_sets()
    _kinds()
    _trials()
    _series()
    _artifacts()


def _condensed_sets() -> None:
    op.create_table(
        "condensed_sets",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("upload_id", sa.String(length=40), nullable=True),
        sa.Column("dataset_id", sa.String(length=40), nullable=True),
        sa.Column("parents", Json, nullable=True),
        sa.Column("stated", Json, nullable=True),
        sa.Column("data_hash", sa.String(length=64), nullable=True),
        sa.Column("form", sa.String(length=40), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=True),
        sa.Column("channels", sa.Integer(), nullable=True),
        sa.Column("image_size", sa.Integer(), nullable=True),
        sa.Column("stored", sa.Integer(), nullable=True),
        sa.Column("decoded", sa.Integer(), nullable=True),
        sa.Column("manifest", Json, nullable=True),
        sa.Column("license", sa.String(length=200), nullable=True),
        sa.Column("blob_prefix", sa.String(length=255), nullable=True),
        *_leased(),
        sa.CheckConstraint(
            "state IN ('reading', 'ready', 'invalid')", name=op.f("ck_condensed_sets_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_condensed_sets_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_condensed_sets_upload_id_uploads"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_condensed_sets_dataset_id_datasets"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_condensed_sets")),
    )
    for columns in (["owner", "id"], ["state", "lease_until"], ["job_id"], ["upload_id"], ["dataset_id"]):
        op.create_index(op.f(f"ix_condensed_sets_{'_'.join(columns)}"), "condensed_sets", columns)


def _kinds() -> None:
    op.drop_index(op.f(f"ix_jobs_{'_'.join(_OLD_CLAIM_ORDER)}"), "jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("kind", sa.String(length=16), nullable=False, server_default="condense"))
        jobs.add_column(sa.Column("queue", sa.String(length=16), nullable=False, server_default="gpu"))
        jobs.add_column(sa.Column("condensed_set_id", sa.String(length=40), nullable=True))
        jobs.drop_constraint(op.f("ck_jobs_phase_known"), type_="check")
        jobs.create_check_constraint(op.f("ck_jobs_queue_known"), "queue IN ('cpu', 'gpu')")
        jobs.create_foreign_key(
            op.f("fk_jobs_condensed_set_id_condensed_sets"),
            "condensed_sets",
            ["condensed_set_id"],
            ["id"],
            ondelete="SET NULL",
        )
    op.execute("UPDATE jobs SET queue = 'cpu' WHERE phase = 'export'")
    op.create_index(op.f("ix_jobs_condensed_set_id"), "jobs", ["condensed_set_id"])
    op.create_index(op.f(f"ix_jobs_{'_'.join(_CLAIM_ORDER)}"), "jobs", _CLAIM_ORDER)


def _trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("network", sa.String(length=80), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("job_fence", sa.Integer(), nullable=True),
        sa.Column("selection_key", sa.String(length=255), nullable=True),
        sa.Column("epochs", sa.Integer(), nullable=True),
        sa.Column("train_images", sa.BigInteger(), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("per_class", Json, nullable=True),
        sa.Column("confusion", Json, nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        *_leased(),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done')", name=op.f("ck_trials_state_known")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_trials_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint(
            "job_id",
            "group",
            "step",
            "method",
            "network",
            "protocol",
            "repeat",
            name=op.f("uq_trials_job_id_group_step_method_network_protocol_repeat"),
        ),
    )
    op.create_index(op.f("ix_trials_state_job_id_position"), "trials", ["state", "job_id", "position"])
    kept = "fence, '{}', 0, created_at, created_at, owner, created_at"
    columns = (
        'id, job_id, "group", step, method, network, protocol, repeat, position, state, accuracy, seconds, '
        "fence, setbacks, event_seq, updated_at, finished_at, owner, created_at"
    )
    op.execute(
        f"INSERT INTO trials ({columns}, epochs, train_images, per_class, confusion) "
        "SELECT id, job_id, 'final', 0, method, network, 'paper', repeat, 0, 'done', accuracy, seconds, "
        f"{kept}, epochs, train_images, per_class, confusion FROM evaluations"
    )
    # Of the job's own network, the only one that a curve is of; its name is that of the finished set's.
    op.execute(
        f"INSERT INTO trials ({columns}) "
        "SELECT 'tr_' || substr(job_id, 5, 24) || iteration || '_' || repeat, job_id, 'curve', iteration, "
        "'condensed', '', 'paper', repeat, 0, 'done', accuracy, seconds, "
        f"{kept} FROM accuracy_points"
    )
    op.drop_table("accuracy_points")
    op.drop_table("evaluations")


def _series() -> None:
    with op.batch_alter_table("metrics") as metrics:
        metrics.add_column(sa.Column("series", sa.String(length=40), nullable=False, server_default="loss"))
        metrics.alter_column("iteration", new_column_name="x")
        metrics.alter_column("loss", new_column_name="value")
    with op.batch_alter_table("metrics") as metrics:
        metrics.drop_constraint(op.f("pk_metrics"), type_="primary")
        metrics.create_primary_key(op.f("pk_metrics"), ["job_id", "series", "fence", "x"])


def _artifacts() -> None:
    with op.batch_alter_table("artifacts") as artifacts:
        artifacts.alter_column("job_id", existing_type=sa.String(length=40), nullable=True)
        artifacts.add_column(sa.Column("condensed_set_id", sa.String(length=40), nullable=True))
        artifacts.create_foreign_key(
            op.f("fk_artifacts_condensed_set_id_condensed_sets"),
            "condensed_sets",
            ["condensed_set_id"],
            ["id"],
            ondelete="CASCADE",
        )
        artifacts.create_unique_constraint(
            op.f("uq_artifacts_condensed_set_id_format"), ["condensed_set_id", "format"]
        )
    _sets_of_finished_jobs()


def _sets_of_finished_jobs() -> None:
    """Each gets the id of its job, with another prefix."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name)
        for name in ("id", "owner", "name", "state", "job_id", "dataset_id", "data_hash", "form", "fence")
    ]
    sets = sa.table(
        "condensed_sets",
        *columns,
        *(sa.column(name) for name in ("classes", "channels", "image_size", "stored", "decoded")),
        *(sa.column(name) for name in ("event_seq", "created_at", "updated_at", "finished_at", "license")),
        sa.column("setbacks", Json),
        sa.column("manifest", Json),
    )
    jobs = sa.table(
        "jobs",
        *(sa.column(n) for n in ("id", "owner", "name", "state", "dataset_id", "data_hash", "finished_at")),
        sa.column("spec", Json),
    )
    datasets = sa.table(
        "datasets",
        *(sa.column(n) for n in ("id", "name", "channels", "image_size", "license")),
        sa.column("manifest", Json),
    )
    artifacts = sa.table("artifacts", sa.column("job_id"), sa.column("condensed_set_id"))
    connection = op.get_bind()
    offering = sa.select(artifacts.c.job_id)
    finished = sa.select(jobs).where(jobs.c.state == "succeeded", jobs.c.id.in_(offering))
    for job in connection.execute(finished).all():
        dataset = connection.execute(sa.select(datasets).where(datasets.c.id == job.dataset_id)).one_or_none()
        known = dataset.manifest if dataset is not None else None
        fresh = f"cs_{job.id.removeprefix('job_')}"
        connection.execute(
            sets.insert().values(
                id=fresh,
                owner=job.owner,
                name=job.name or (dataset.name if dataset is not None else job.id),
                state="ready",
                job_id=job.id,
                dataset_id=job.dataset_id,
                data_hash=job.data_hash,
                form="pixels",
                fence=0,
                classes=len(known["classes"]) if known else None,
                channels=dataset.channels if dataset is not None else None,
                image_size=dataset.image_size if dataset is not None else None,
                stored=job.spec.get("ipc"),
                decoded=job.spec.get("ipc"),
                event_seq=0,
                created_at=job.finished_at,
                updated_at=job.finished_at,
                finished_at=job.finished_at,
                license=dataset.license if dataset is not None else None,
                setbacks={},
                manifest={name: known[name] for name in ("classes", "mean", "std")} if known else None,
            )
        )
        connection.execute(
            artifacts.update().where(artifacts.c.job_id == job.id).values(condensed_set_id=fresh)
        )


def downgrade() -> None:
    op.execute("DELETE FROM artifacts WHERE job_id IS NULL")
    with op.batch_alter_table("artifacts") as artifacts:
        artifacts.drop_constraint(op.f("uq_artifacts_condensed_set_id_format"), type_="unique")
        artifacts.drop_constraint(op.f("fk_artifacts_condensed_set_id_condensed_sets"), type_="foreignkey")
        artifacts.drop_column("condensed_set_id")
        artifacts.alter_column("job_id", existing_type=sa.String(length=40), nullable=False)
    op.execute("DELETE FROM metrics WHERE series <> 'loss'")
    with op.batch_alter_table("metrics") as metrics:
        metrics.drop_constraint(op.f("pk_metrics"), type_="primary")
        metrics.drop_column("series")
        metrics.alter_column("x", new_column_name="iteration")
        metrics.alter_column("value", new_column_name="loss")
    with op.batch_alter_table("metrics") as metrics:
        metrics.create_primary_key(op.f("pk_metrics"), ["job_id", "fence", "iteration"])
    _evaluations()
    op.execute("DELETE FROM jobs WHERE kind <> 'condense'")
    op.drop_index(op.f(f"ix_jobs_{'_'.join(_CLAIM_ORDER)}"), "jobs")
    op.drop_index(op.f("ix_jobs_condensed_set_id"), "jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(op.f("fk_jobs_condensed_set_id_condensed_sets"), type_="foreignkey")
        jobs.drop_constraint(op.f("ck_jobs_queue_known"), type_="check")
        for name in ("condensed_set_id", "queue", "kind"):
            jobs.drop_column(name)
        jobs.create_check_constraint(
            op.f("ck_jobs_phase_known"), "phase IN ('condense', 'evaluate', 'export')"
        )
    op.create_index(op.f(f"ix_jobs_{'_'.join(_OLD_CLAIM_ORDER)}"), "jobs", _OLD_CLAIM_ORDER)
    op.drop_table("condensed_sets")


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("network", sa.String(length=80), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("train_images", sa.BigInteger(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("per_class", Json, nullable=False),
        sa.Column("confusion", Json, nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_evaluations_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "job_id", "method", "network", "repeat", name=op.f("uq_evaluations_job_id_method_network_repeat")
        ),
    )
    op.create_table(
        "accuracy_points",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_accuracy_points_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "iteration", "repeat", name=op.f("pk_accuracy_points")),
    )
    of_condensations = "job_id IN (SELECT id FROM jobs WHERE kind = 'condense') AND state = 'done'"
    columns = (
        "id, job_id, fence, method, network, repeat, epochs, train_images, accuracy, per_class, confusion"
    )
    op.execute(
        f"INSERT INTO evaluations ({columns}, seconds, owner, created_at) "
        f"SELECT {columns}, seconds, owner, created_at FROM trials "
        f"WHERE \"group\" = 'final' AND {of_condensations}"
    )
    op.execute(
        "INSERT INTO accuracy_points (job_id, iteration, repeat, fence, accuracy, seconds, owner, created_at) "
        "SELECT job_id, step, repeat, fence, accuracy, seconds, owner, created_at FROM trials "
        f"WHERE \"group\" = 'curve' AND {of_condensations}"
    )
    op.drop_table("trials")
