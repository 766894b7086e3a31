"""`condensery datasets`."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from condensery import Dataset
from condensery.cli.connection import client_of, patient_client_of
from condensery.cli.group import Failed, Interrupted
from condensery.cli.output import (
    AsJson,
    command,
    counted,
    put,
    put_deleted,
    put_facts,
    put_json,
    put_table,
    report,
)
from condensery.cli.transfer import send
from condensery.cli.watch import watch_dataset

app = typer.Typer(no_args_is_help=True, help="Labelled image sets.")


@app.command()
def add(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="To upload; a folder goes as a zip.")],
    name: Annotated[str | None, typer.Option(help="Default: the file's.")] = None,
    license: Annotated[str | None, typer.Option(help="Of the images, such as cc-by-4.0.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Edge of the square images, in px.")] = None,
    channels: Annotated[int | None, typer.Option(help="1, 3 or 4.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until it is ready, or the upload is over.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Upload a data set and have it read. An upload that was interrupted goes on.

    The exit status is 0 if it is ready.
    """
    if not source.exists():
        raise Failed(f"there is no file or folder {str(source)!r}")
    with patient_client_of(context) as client:
        dataset = client.datasets.add(
            send(client, source), name=name or source.resolve().name, license=license, image_size=image_size,
            channels=channels,
        )  # fmt: skip
        report(f"{dataset.id}: made of {source}")
        if wait:
            try:
                dataset = watch_dataset(dataset)
            except KeyboardInterrupt as stop:
                check = command("datasets", "show", dataset.id)
                raise Interrupted(f"interrupted: the server goes on reading. To check:\n  {check}") from stop
    put_json(dict(dataset.raw)) if as_json else put(dataset.id)


@app.command("list")
def list_datasets(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in it, such as ready.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show, the newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List data sets, newest first."""
    with client_of(context) as client:
        found = list(islice(client.datasets.list(state=state), limit + 1))
    shown = found[:limit]
    if as_json:
        put_json([dict(one.raw) for one in shown])
    else:
        put_table(
            ("data set", "name", "state", "images", "classes", "px", "made"),
            ((d.id, d.name, d.state, d.images_done, _classes(d), d.image_size, d.created_at) for d in shown),
            right=("images", "classes", "px"),
        )
    if len(found) > limit:
        report(f"there are more: --limit {10 * limit}")


@app.command("show")
def show(context: typer.Context, dataset_id: str, as_json: AsJson = False) -> None:
    """Show a data set: what was found in it, what is odd about it, what to do with it."""
    with client_of(context) as client:
        put_dataset(client.datasets.get(dataset_id), as_json)


@app.command()
def delete(
    context: typer.Context,
    dataset_ids: Annotated[list[str], typer.Argument(metavar="DATASET…")],
    as_json: AsJson = False,
) -> None:
    """Delete data sets with their files."""
    with client_of(context) as client:
        put_deleted(dataset_ids, lambda one: client.datasets.get(one).delete(), as_json)


def put_dataset(dataset: Dataset, as_json: bool) -> None:
    """It, and its report if it is ready."""
    found = dataset.report() if dataset.state == "ready" else None
    if as_json:
        put_json({**dataset.raw, "report": found})
        return
    put_facts(_facts(dataset, found))


def _facts(dataset: Dataset, found: dict[str, Any] | None) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        ("data set", dataset.id),
        ("name", dataset.name),
        ("state", dataset.state),
        ("licence", dataset.license),
        ("made", dataset.created_at),
    ]
    if dataset.problem is not None:
        facts.append(("problem", str(dataset.problem)))
    if found is None:
        return facts
    suggested = found["suggestions"].get("ipc", [])
    return [
        *facts,
        ("format", found["source_format"]),
        ("images", ", ".join(f"{one['count']} {name}" for name, one in found["splits"].items())),
        ("classes", len(found["classes"])),
        ("image", f"{found['image_size']} px, {counted(found['channels'], 'channel')}"),
        *(("warning", f"{one['code']}: {one['detail']}") for one in found["warnings"]),
        ("sensible ipc", ", ".join(map(str, suggested)) or None),
    ]


def _classes(dataset: Dataset) -> int | None:
    return len(dataset.manifest["classes"]) if dataset.manifest else None
