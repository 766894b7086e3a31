"""`condensery sets`."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from condensery import Client, CondensedSet
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
from condensery.cli.settings import flat, nested, written
from condensery.cli.transfer import download, send
from condensery.cli.watch import watch_set
from condensery.client.errors import CondensedSetInvalid
from condensery.client.fields import Upload
from condensery.client.parsing import parse

app = typer.Typer(no_args_is_help=True, help="Condensed sets: made by jobs, uploaded, merged.")
app.command()(download)

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is ready, or the request is made.")]
Name = Annotated[str | None, typer.Option(help="Of the set.")]


@app.command("list")
def list_sets(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in it, such as ready.")] = None,
    job: Annotated[str | None, typer.Option(metavar="JOB", help="Only the one that it made.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show, the newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List condensed sets, newest first."""
    with client_of(context) as client:
        found = list(islice(client.condensed_sets.list(state=state, job=job), limit + 1))
    shown = found[:limit]
    if as_json:
        put_json([dict(one.raw) for one in shown])
    else:
        put_table(
            ("condensed set", "name", "state", "per class", "classes", "px", "of", "made"),
            (
                (s.id, s.name, s.state, s.decoded, s.classes, s.image_size, _origin(s), s.created_at)
                for s in shown
            ),
            right=("per class", "classes", "px"),
        )
    if len(found) > limit:
        report(f"there are more: --limit {10 * limit}")


@app.command()
def show(context: typer.Context, condensed_set_id: str, as_json: AsJson = False) -> None:
    """Show a condensed set: what is in it, and where it is from."""
    with client_of(context) as client:
        put_set(client.condensed_sets.get(condensed_set_id), as_json)


@app.command()
def add(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|FOLDER|UPLOAD", help="To upload, or up_…, which is there already.")
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="DATASET", help="That it stands for; not needed for our own files.")
    ] = None,
    stated: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="NAME=VALUE",
            help="What the files leave open, such as space=unit, experiment=4 or mean=[0.5]; repeatable.",
        ),
    ] = None,
    name: Name = None,
    license: Annotated[str | None, typer.Option(help="Of the images, such as cc-by-4.0.")] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Upload a condensed set that was made elsewhere, and have it read.

    The exit status is 0 if it is ready. What the files leave open is asked for: type the command again with
    the answers.
    """
    answers = nested(stated or [], option="--state")
    with patient_client_of(context) as client:
        upload, default = _upload(client, source)
        made = client.condensed_sets.add(
            upload, dataset=dataset, name=name or default, license=license, stated=answers or None
        )
        report(f"{made.id}: made of {source}")
        try:
            _put_made(made, wait, as_json)
        except CondensedSetInvalid as error:
            if upload.id != source and error.condensed_set.problem is not None:
                of = () if dataset is None else ("--dataset", dataset)
                again = command("sets", "add", upload.id, *of, "--state", "NAME=VALUE")
                report(f"{source} need not be sent again:\n  {again}")
            raise


@app.command()
def merge(
    context: typer.Context,
    condensed_set_ids: Annotated[list[str], typer.Argument(metavar="SET SET…")],
    name: Name = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Make one set of several: their classes must be the same, or all different."""
    with patient_client_of(context) as client:
        _put_made(client.condensed_sets.merge(condensed_set_ids, name=name), wait, as_json)


@app.command()
def delete(
    context: typer.Context,
    condensed_set_ids: Annotated[list[str], typer.Argument(metavar="SET…")],
    as_json: AsJson = False,
) -> None:
    """Delete condensed sets with their files. The jobs that made them stay."""
    with client_of(context) as client:
        put_deleted(condensed_set_ids, lambda one: client.condensed_sets.get(one).delete(), as_json)


def put_set(row: CondensedSet, as_json: bool) -> None:
    if as_json:
        put_json(dict(row.raw))
        return
    put_facts(_facts(row))


def _put_made(row: CondensedSet, wait: bool, as_json: bool) -> None:
    if wait:
        try:
            row = watch_set(row)
        except KeyboardInterrupt as stop:
            check = command("sets", "show", row.id)
            raise Interrupted(f"interrupted: the server goes on. To check:\n  {check}") from stop
    put_json(dict(row.raw)) if as_json else put(row.id)


def _upload(client: Client, source: str) -> tuple[Upload, str | None]:
    path = Path(source)
    if path.exists():
        return send(client, path), path.resolve().name
    if source.startswith("up_"):
        return parse(Upload, client.get(f"/v1/uploads/{source}")), None
    raise Failed(f"there is no file or folder {source!r}, and it is no upload's id (up_…)")


def _facts(row: CondensedSet) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        ("condensed set", row.id),
        ("name", row.name),
        ("state", row.state),
        ("of", _origin(row)),
        ("data set", row.dataset_id),
        ("licence", row.license),
        ("made", row.created_at),
    ]
    if row.stated:
        facts.append(("stated", ", ".join(written(*one) for one in flat(row.stated).items())))
    if row.problem is not None:
        facts.append(("problem", str(row.problem)))
    if row.manifest is None or row.channels is None:
        return facts
    stored = "" if row.stored == row.decoded else f", stored as {row.stored}"
    return [
        *facts,
        ("classes", row.classes),
        ("per class", f"{row.decoded}{stored}"),
        ("image", f"{row.image_size} px, {counted(row.channels, 'channel')}"),
        ("normalised by", f"mean {row.manifest['mean']}, std {row.manifest['std']}"),
        *((one["severity"], f"{one['code']}: {one['detail']}") for one in row.manifest.get("findings", ())),
    ]


def _origin(row: CondensedSet) -> str | None:
    """Where it is from, by id."""
    return row.job_id or row.upload_id or (f"{len(row.parents)} sets" if row.parents else None)
