"""`retention`: delete what is due now, or only say what that is."""

from dataclasses import asdict
from typing import Annotated

import typer

from core import retention
from core.admin.common import AsJson, migrated_database, report, show
from core.settings import get_settings
from core.storage import get_storage


def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing: list what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what CONDENSERY_RETENTION_* say. Workers do so every hour."""
    settings = get_settings()
    with migrated_database() as database:
        if dry_run:
            with database.reading() as session:
                found = retention.candidates(session, settings)
        else:
            found = retention.apply(database, get_storage(), settings)
    show([asdict(one) for one in found], as_json, "kind", "id", "owner", "bytes", "since", "reason")
    freed = sum(one.bytes for one in found)
    report(f"{len(found)} {'would be' if dry_run else 'were'} deleted: {freed} bytes.")
