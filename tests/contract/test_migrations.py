"""The one history leads to the models, on both databases, and back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, create_engine, inspect, select, text
from sqlalchemy.orm import Session

from core.db.migrate import alembic_config, is_current, upgrade
from core.db.models import Base, Blob, Dataset, Trial, Upload
from core.db.session import Database, make_engine
from tests.support.api import token_of
from tests.support.databases import empty_postgres, empty_sqlite

TABLES = set(Base.metadata.tables)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield empty_sqlite(tmp_path)
    else:
        with empty_postgres(request.getfixturevalue("postgres_server")) as url:
            yield url


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def current(url: str) -> bool:
    engine = make_engine(url)
    with engine.connect() as connection:
        known = is_current(connection)
    engine.dispose()
    return known


def test_up_down_and_up_again(empty_url: str) -> None:
    assert not current(empty_url)
    upgrade(empty_url)
    assert tables(empty_url) == TABLES | {"alembic_version"}
    assert current(empty_url)
    command.check(alembic_config(empty_url))  # raises if the models say anything else
    command.downgrade(alembic_config(empty_url), "base")
    assert tables(empty_url) == {"alembic_version"}
    assert not current(empty_url)
    upgrade(empty_url)
    command.check(alembic_config(empty_url))


def test_what_was_evaluated_before_has_no_confusion_matrix(empty_url: str) -> None:
    command.upgrade(alembic_config(empty_url), "0001")
    engine = create_engine(empty_url)
    old = MetaData()
    old.reflect(engine)
    job, now = {"id": "job_1", "owner": "local"}, datetime.now(UTC)
    row = {"job_id": job["id"], "owner": job["owner"], "fence": 1, "created_at": now}
    with engine.begin() as connection:
        connection.execute(
            old.tables["jobs"].insert().values(
                **job, created_at=now, updated_at=now, fence=1, failures=0, event_seq=0, resumes=0,
                iteration=1, data_hash="0", spec={}, state="running", phase="evaluate",
            )
        )  # fmt: skip
        connection.execute(
            old.tables["evaluations"].insert().values(
                **row, id="ev_1", method="condensed", network="convnet", repeat=0, epochs=1, train_images=1,
                accuracy=0.5, per_class=[0.5], seconds=1.0,
            )
        )  # fmt: skip
    upgrade(empty_url)
    with Session(engine) as session:
        (kept,) = session.scalars(select(Trial))
        assert (kept.id, kept.accuracy, kept.per_class, kept.confusion) == ("ev_1", 0.5, [0.5], None)
    engine.dispose()


def test_uploads_with_the_same_bytes_share_a_blob_and_keep_their_data_sets(empty_url: str) -> None:
    command.upgrade(alembic_config(empty_url), "0003")
    engine = make_engine(empty_url)
    old = MetaData()
    old.reflect(engine)
    now, same, other = datetime.now(UTC), "ab" * 32, "cd" * 32
    with engine.begin() as connection:
        for upload_id, sha256 in (("up_1", same), ("up_2", same), ("up_3", other)):
            connection.execute(
                old.tables["uploads"].insert().values(
                    id=upload_id, owner="local", created_at=now, size=7, sha256=sha256,
                    blob_key=f"uploads/{upload_id}",
                )
            )  # fmt: skip
        connection.execute(
            old.tables["datasets"].insert().values(
                id="ds_1", owner="local", name="x", upload_id="up_2", state="ready", seed=0, images_done=0,
                fence=0, failures=0, event_seq=0, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    upgrade(empty_url)
    with Session(engine) as session:
        files = {blob.sha256: blob.file_key for blob in session.scalars(select(Blob))}
        assert files == {same: "uploads/up_1", other: "uploads/up_3"}
        uploads = {one.id: one.sha256 for one in session.scalars(select(Upload))}
        assert uploads == {"up_1": same, "up_2": same, "up_3": other}
        assert session.get_one(Dataset, "ds_1").upload_id == "up_2"
        session.add(Upload(id="up_4", owner="local", size=7))
        session.commit()
    command.downgrade(alembic_config(empty_url), "0003")
    with engine.connect() as connection:
        rows = connection.execute(old.tables["uploads"].select().order_by(text("id"))).all()
        assert [(row.id, row.sha256, row.blob_key) for row in rows] == [
            ("up_1", same, "uploads/up_1"),
            ("up_2", same, "uploads/up_1"),
            ("up_3", other, "uploads/up_3"),
        ]
        assert connection.execute(select(old.tables["datasets"].c.upload_id)).scalar_one() == "up_2"
    engine.dispose()


def test_second_upgrade_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database(empty_url)
    token_of(database, "somebody")
    database.engine.dispose()
    upgrade(empty_url)
    assert current(empty_url)
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        rows = connection.execute(Base.metadata.tables["api_keys"].select()).all()
    engine.dispose()
    assert [row.owner for row in rows] == ["somebody"]


def test_looking_again_and_again_leaves_nothing_in_memory(empty_url: str) -> None:
    upgrade(empty_url)
    engine, remembered = make_engine(empty_url), dict[object, object]()
    with engine.connect() as connection:
        connection = connection.execution_options(compiled_cache=remembered)
        assert is_current(connection)
        statements = len(remembered)
        assert is_current(connection) and is_current(connection)
    engine.dispose()
    assert len(remembered) == statements
