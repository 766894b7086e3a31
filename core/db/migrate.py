"""`python -m core.db.migrate`: bring the database to the newest schema. Safe to run at every start."""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.settings import get_settings

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
    return MigrationContext.configure(connection).get_current_revision() == _newest()


@lru_cache
def _newest() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


if __name__ == "__main__":
    upgrade(get_settings().database)
