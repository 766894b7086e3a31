"""`storage check`: rows against files."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.admin.common import AsJson, migrated_database, say, show, show_json
from core.catalogue.orphans import DAY_SECONDS, forget_orphans
from core.inventory import take_inventory
from core.storage import get_storage

app = typer.Typer(no_args_is_help=True, help="Stored files.")


@app.callback()
def main() -> None:
    """Stored files."""


@app.command()
def check(
    hashes: Annotated[bool, typer.Option("--hashes", help="Read every file and compare its hash.")] = False,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="First delete old files that belong to nothing.")
    ] = False,
    older_than: Annotated[
        float, typer.Option(min=600, help="Seconds; only with --delete-orphans. Workers use a day.")
    ] = DAY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Compare rows and files. Exit status 1 if anything is missing, damaged or belongs to nothing."""
    storage = get_storage()
    deleted: list[str] = []
    with migrated_database() as database:
        if delete_orphans:
            with database.reading() as session:
                deleted = forget_orphans(session, storage, older_than)
        found = take_inventory(database, storage, hashes=hashes)
    if as_json:
        show_json(asdict(found) | {"deleted": deleted})
    else:
        show([asdict(one) for one in found.findings], False, "fault", "key", "row", "detail")
    say(
        f"{found.rows} rows, {found.files} files, {len(found.findings)} findings"
        + (f", {len(deleted)} files deleted." if delete_orphans else ".")
    )
    if found.findings:
        raise typer.Exit(1)
