"""Alembic's entry: one history for SQLite and PostgreSQL."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import event, text

from core.db.models import Base
from core.db.session import make_engine
from core.db.types import Json, UTCDateTime
from core.settings import get_settings

#: Any constant: two processes that migrate one PostgreSQL database at once take turns by it.
ADVISORY_LOCK = 0x636F6E64


def render_item(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Plain SQLAlchemy types: a migration must not change when core.db.types does."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, type(Json)):
        return "JSON"
    return False


def run() -> None:
    engine = make_engine(context.config.attributes.get("url") or get_settings().database)
    if engine.dialect.name == "sqlite":
        # Else a table that is rebuilt takes with it, or empties, all that refers to it. Not inside a
        # transaction, where SQLite ignores it.
        event.listen(engine, "connect", lambda raw, _record: raw.execute("PRAGMA foreign_keys=OFF"))
    with engine.execution_options(writes=True).connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
            render_item=render_item,
        )
        with context.begin_transaction():
            context.run_migrations()
        if connection.dialect.name == "sqlite":
            # Rolls everything back.
            broken = connection.execute(text("PRAGMA foreign_key_check")).all()
            assert not broken, f"{len(broken)} rows refer to rows that are not there, first: {broken[0]}"
    engine.dispose()


run()
