"""`storage check`: rows against files. `storage sweep`: away with files that belong to nothing."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.admin.common import AsJson, migrated_database, report, show, show_json
from core.catalogue.sweep import check_files, delete_orphans
from core.inventory import take_inventory
from core.storage import get_storage

app = typer.Typer(no_args_is_help=True, help="Stored files.")


@app.callback()
def main() -> None:
    """Stored files."""


@app.command()
def check(
    hashes: Annotated[bool, typer.Option("--hashes", help="Read every file and compare its hash.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare rows and files. Exit status 1 if anything is missing, damaged or belongs to nothing."""
    storage = get_storage()
    with migrated_database() as database:
        found = take_inventory(database, storage, hashes=hashes)
    if as_json:
        show_json(asdict(found))
    else:
        show([asdict(one) for one in found.findings], False, "fault", "key", "row", "detail")
    report(f"{found.rows} rows, {found.files} files, {len(found.findings)} findings.")
    if found.findings:
        raise typer.Exit(1)


@app.command()
def sweep(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete files that have belonged to nothing in two sweeps a day apart, however many they are.

    Workers do so every hour with at most a tenth of all files.
    """
    storage = get_storage()
    with migrated_database() as database:
        found = check_files(database, storage)
        where = database.engine.url.render_as_string(hide_password=True)
        report(f"{found.orphans} of {found.files} files belong to nothing in {where}.")
        if found.waiting_until is not None:
            waiting = found.waiting_until.isoformat(timespec="seconds")
            report(f"{found.orphans - len(found.due)} of them are kept for a day: the first until {waiting}.")
        if found.due:
            report(f"{len(found.due)} already did a day ago: {found.share:.0%} of all files.")
            if not yes:
                typer.confirm("Delete them?", abort=True, err=True)
            delete_orphans(database, storage, found.due)
    show([{"key": key} for key in found.due], as_json, "key")
    report(f"{len(found.due)} files deleted.")
