"""`python -m core.db.migrate`: bring the database to the newest schema. Safe to run at every start."""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, inspect, select, table

from core.settings import get_settings

#: Alembic's.
_REVISIONS = table("alembic_version", column("version_num"))
MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    command.upgrade(alembic_config(url), "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema that this code was written for."""
    # Not Alembic's own check: each has a statement of its own, of which SQLAlchemy remembers hundreds.
    if not inspect(connection).has_table(_REVISIONS.name):
        return False
    return connection.scalars(select(_REVISIONS.c.version_num)).all() == [_newest()]


@lru_cache
def _newest() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


if __name__ == "__main__":
    upgrade(get_settings().database)
