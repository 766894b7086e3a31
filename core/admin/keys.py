"""`keys`: make one, list them, revoke one."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select

from core.admin.common import AsJson, fail, report, show, transaction
from core.catalogue.keys import OWNER_PATTERN, Scope, create_key, revoke_key
from core.db.models import ApiKey

app = typer.Typer(no_args_is_help=True, help="API keys.")

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


@app.command()
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
    with transaction() as session:
        key, token = create_key(session, owner, name=name, scope=scope, expires_at=expires)
    print(token)
    until = f" until {expires.isoformat()}" if expires else ""
    report(f"{key.id}: {scope} for {owner}{until}. Only its hash is kept: this is the one time it is shown.")


@app.command("list")
def list_keys(
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None, as_json: AsJson = False
) -> None:
    """Every key, oldest first, without its secret."""
    statement = select(ApiKey).order_by(ApiKey.id)
    if owner is not None:
        statement = statement.where(ApiKey.owner == owner)
    with transaction() as session:
        found = [
            {
                "id": key.id,
                "owner": key.owner,
                "scope": key.scopes[-1],
                "condition": _condition(key),
                "last_used_at": key.last_used_at,
                "name": key.name,
            }
            for key in session.scalars(statement)
        ]
    show(found, as_json, "id", "owner", "scope", "condition", "name")


@app.command()
def revoke(key_id: str) -> None:
    """Revoke a key, at once and for good."""
    with transaction() as session:
        key = session.get(ApiKey, key_id)
        if key is None:
            fail(f"no API key {key_id!r}")
        revoke_key(session, key)
    report(f"{key_id} is revoked.")


def _condition(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at and key.expires_at < datetime.now(UTC):
        return f"expired {key.expires_at:%Y-%m-%d}"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"
