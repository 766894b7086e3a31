"""`submit` and `follow`: from files to a condensed set in one command, or in several."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from condensery import Client, Dataset, Job
from condensery.cli.connection import patient_client_of
from condensery.cli.group import Failed, Interrupted
from condensery.cli.output import AsJson, accuracy, command, command_on, put, put_json, put_table, report
from condensery.cli.settings import nested
from condensery.cli.transfer import (
    DEFAULT_FORMATS,
    Formats,
    Output,
    fetch,
    options_of,
    put_saved,
    send,
)
from condensery.cli.watch import watch_dataset, watch_job
from condensery.client.errors import ApiError, JobFailed


def submit(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|FOLDER|DATASET", help="A file or folder to upload, or ds_…")
    ],
    kind: Annotated[str | None, typer.Option(help="Of work. Default: condense.")] = None,
    ipc: Annotated[
        int | None, typer.Option(min=1, help="Synthetic images per class; a condensation needs it.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="dm is the paper's, and the default.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The one seed of every random choice.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the job.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Edge of the square images, in px, that an upload is read as.")
    ] = None,
    priority: Annotated[str | None, typer.Option(help="Default: normal.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting of a job, such as network.width=32 or evaluation.networks=3; repeatable.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--follow/--no-wait", help="Follow the job and download, or leave it to the server."),
    ] = True,
    formats: Formats = DEFAULT_FORMATS,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Condense a data set: check the settings, upload and read it if it is a file or folder, follow the job,
    download the result.

    The exit status is 0 if the job has succeeded. Ctrl-C stops this command, not the job.
    """
    body: dict[str, Any] = nested(settings or [])
    if taken := {"kind", "ipc", "dataset", "dataset_id"} & body.keys():
        raise Failed(f"--set {min(taken)}: that is not set so")
    given = {
        "kind": kind, "ipc": ipc, "recipe": recipe, "iterations": iterations, "seed": seed, "name": name,
        "priority": priority,
    }  # fmt: skip
    body |= {field: value for field, value in given.items() if value is not None}
    with patient_client_of(context) as client:
        client.jobs.validate(**body)  # what is wrong whatever the data must not take an upload to find out
        dataset = _dataset(client, source, image_size)
        try:
            dataset = watch_dataset(dataset)
        except KeyboardInterrupt as stop:
            again = command_on(context, dataset.id)
            raise Interrupted(f"interrupted: the server goes on reading. Then:\n  {again}") from stop
        if image_size not in (None, dataset.image_size):
            raise Failed(f"{dataset.id} has images of {dataset.image_size} px: for others upload it anew")
        try:
            job = client.jobs.submit(dataset, **body)
        except ApiError:
            if dataset.id != source:
                report(f"{source} need not be sent again: {dataset.id} is ready. With other settings:")
                report(f"  {command_on(context, dataset.id)}")
            raise
        if not wait:
            put_json(job.raw) if as_json else put(job.id)
            return
        finish(job, formats, output, as_json)


def follow(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB")],
    formats: Formats = DEFAULT_FORMATS,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Follow a job to its end and download its result, as `submit` does. The exit status is the job's."""
    with patient_client_of(context) as client:
        finish(client.jobs.get(job_id), formats, output, as_json)


def _dataset(client: Client, source: str, image_size: int | None) -> Dataset:
    path = Path(source)
    if path.exists():
        made = client.datasets.add(send(client, path), name=path.resolve().name, image_size=image_size)
        report(f"{made.id}: made of {source}")
        return made
    if re.fullmatch(r"ds_\w+", source):
        return client.datasets.get(source)
    raise Failed(f"there is no file or folder {source!r}, and it is no data set's id (ds_…)")


def finish(job: Job, formats: list[str], output: Path | None, as_json: bool) -> None:
    try:
        ended = watch_job(job)
    except KeyboardInterrupt as stop:
        again = command("follow", job.id, *options_of(formats, output))
        raise Interrupted(
            f"interrupted: {job.id} goes on. To follow it again:\n  {again}\n"
            f"To stop it: {command('cancel', job.id)}"
        ) from stop
    if ended.state != "succeeded":
        raise JobFailed(ended)
    if as_json:
        put_json({"job": dict(ended.raw), "files": fetch(ended, formats, output)})
        return
    put_results(ended)  # first: what they took hours for is not lost with a download
    put_saved(fetch(ended, formats, output))


def put_results(job: Job) -> None:
    """The accuracies, as a table."""
    put_table(
        ("trained on", "network", "images", "protocol", "steps", "test accuracy", "n"),
        (
            (
                one.method,
                one.network,
                one.train_images,
                one.protocol,
                one.steps,
                accuracy(one.mean, one.std),
                one.n,
            )
            for one in job.evaluations
        ),
        right=("images", "steps", "n"),
    )
