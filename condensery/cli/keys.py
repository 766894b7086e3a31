"""`condensery keys`, `usage` and `config`: who may do what on which server, and how much of it."""

from datetime import datetime
from typing import Annotated

import typer

from condensery.cli.connection import chosen, client_of, config_file
from condensery.cli.output import AsJson, put, put_facts, put_json, put_table, report, size

app = typer.Typer(no_args_is_help=True, help="API keys; needs one with the scope admin, once there is any.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[str | None, typer.Option(help="read, write (the default) or admin.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose rows it sees; by default yours.")] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(help="In local time, such as 2027-01-01.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its token is printed this once, alone, on standard output."""
    with client_of(context) as client:
        key = client.keys.create(name, scope=scope, owner=owner, expires_at=expires and expires.astimezone())
    if as_json:
        put_json(dict(key.raw))
        return
    report(f"{key.id}: of {key.owner}, with {', '.join(key.scopes)}. From now on every request needs a key")
    put(key.token or "")


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List keys, newest first, revoked and expired ones too."""
    with client_of(context) as client:
        found = list(client.keys.list())
    if as_json:
        put_json([dict(one.raw) for one in found])
        return
    put_table(
        ("key", "name", "owner", "scopes", "expires", "last used", "revoked"),
        (
            (k.id, k.name, k.owner, ", ".join(k.scopes), k.expires_at, k.last_used_at, k.revoked_at)
            for k in found
        ),
    )


@app.command()
def revoke(
    context: typer.Context,
    key_ids: Annotated[list[str], typer.Argument(metavar="KEY…")],
    as_json: AsJson = False,
) -> None:
    """Revoke keys for good."""
    with client_of(context) as client:
        for one in key_ids:
            client.keys.revoke(one)
            if not as_json:
                put(f"{one}  revoked")
    if as_json:
        put_json({"revoked": key_ids})


def usage(context: typer.Context, as_json: AsJson = False) -> None:
    """What you store and run, beside the limits."""
    with client_of(context) as client:
        found = client.usage()
    if as_json:
        put_json(dict(found.raw))
        return
    stored, jobs = found.stored_bytes, found.jobs
    put_table(
        ("", "now", "limit"),
        (
            ("uploads", size(stored.uploads), None),
            ("data sets", size(stored.datasets), None),
            ("checkpoints", size(stored.checkpoints), None),
            ("snapshots", size(stored.snapshots), None),
            ("artifacts", size(stored.artifacts), None),
            ("trained networks", size(stored.pools), None),
            ("stored in all", size(stored.total), size(stored.limit)),
            ("jobs queued", jobs.queued, jobs.queued_limit),
            ("jobs running", jobs.running, jobs.running_limit),
        ),
        right=("now", "limit"),
    )


def config(context: typer.Context, as_json: AsJson = False) -> None:
    """Which server is talked to, and where that is configured."""
    connection = chosen(context.find_root().obj)
    facts = {
        "file": str(config_file()),
        "file_exists": config_file().exists(),
        "server": connection.server,
        "api_key": "set" if connection.api_key else None,
    }
    put_json(facts) if as_json else put_facts(facts.items())
