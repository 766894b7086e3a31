"""`python -m core.admin`: what needs the machine rather than a key, such as making the first key."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.catalogue.keys import OWNER_PATTERN, Scope, create_key, revoke_key
from core.db.migrate import is_current
from core.db.models import ApiKey
from core.db.session import get_database

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
keys = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(keys, name="keys")

MAX_NAME = 200


def _owner(value: str) -> str:
    if not re.fullmatch(OWNER_PATTERN, value):
        raise typer.BadParameter(f"{value!r} does not match {OWNER_PATTERN}")
    return value


def _name(value: str) -> str:
    if not (1 <= len(value) <= MAX_NAME and value.isprintable()):
        raise typer.BadParameter(f"1 to {MAX_NAME} printable characters, got {value[:MAX_NAME]!r}")
    return value


def _instant(value: str) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is not an ISO 8601 time: {error}") from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{value!r} needs a time zone, such as 2027-01-01T00:00:00Z")
    if instant <= datetime.now(UTC):
        raise typer.BadParameter(f"{value!r} is in the past")
    return instant


@app.callback()
def main() -> None:
    """Administer the service of this machine (CONDENSERY_DATABASE_URL, CONDENSERY_DATA_DIR)."""


@keys.command()
def create(
    owner: Annotated[str, typer.Option(callback=_owner, help="Whose rows it sees.")],
    scope: Annotated[Scope, typer.Option(help="write includes read; admin includes both.")],
    name: Annotated[str, typer.Option(callback=_name, help="What it is for.")] = "made on the server",
    expires: Annotated[
        datetime | None,
        typer.Option(parser=_instant, metavar="ISO", help="With a time zone: 2027-01-01T00:00:00Z."),
    ] = None,
) -> None:
    """Make a key. Its token alone goes to standard output, this once."""
    with _migrated_database() as session:
        key, token = create_key(session, owner, name=name, scope=scope, expires_at=expires)
    print(token)
    until = f" until {expires.isoformat()}" if expires else ""
    _say(f"{key.id}: {scope} for {owner}{until}. Only its hash is kept: this is the one time it is shown.")


@keys.command("list")
def list_keys(owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None) -> None:
    """Every key, oldest first, without its secret."""
    statement = select(ApiKey).order_by(ApiKey.id)
    if owner is not None:
        statement = statement.where(ApiKey.owner == owner)
    with _migrated_database() as session:
        for key in session.scalars(statement):
            print(key.id, key.owner, key.scopes[-1], _condition(key), key.name, sep="\t")


@keys.command()
def revoke(key_id: str) -> None:
    """Revoke a key, at once and for good."""
    with _migrated_database() as session:
        key = session.get(ApiKey, key_id)
        if key is None:
            _fail(f"no API key {key_id!r}")
        revoke_key(session, key)
    _say(f"{key_id} is revoked.")


def _condition(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at and key.expires_at < datetime.now(UTC):
        return f"expired {key.expires_at:%Y-%m-%d}"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"


@contextmanager
def _migrated_database() -> Iterator[Session]:
    """A transaction on a database that has this code's schema; otherwise the command ends here."""
    database = get_database()
    where = database.engine.url.render_as_string(hide_password=True)
    try:
        with database.writing() as session:
            if not is_current(session.connection()):
                _fail(
                    f"{where} does not have this version's schema. Bring it there: python -m core.db.migrate"
                )
            yield session
    except OperationalError as error:
        _fail(f"{where} does not answer: {error.orig}")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _fail(sentence: str) -> NoReturn:
    _say(f"condensery: {sentence}")
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
