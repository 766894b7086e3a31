"""`evaluate`: a condensed set on a data set, on any networks."""

from typing import Annotated, Any

import typer

from condensery import Client
from condensery.cli.connection import patient_client_of
from condensery.cli.group import Failed
from condensery.cli.output import AsJson, put, put_json
from condensery.cli.settings import nested
from condensery.cli.submit import finish
from condensery.cli.transfer import DEFAULT_FORMATS, Formats, Output


def evaluate(
    context: typer.Context,
    condensed_set: Annotated[str, typer.Argument(metavar="SET|JOB", help="cs_…, or the job that made it.")],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="ds_…, of the same classes and shape.")],
    network: Annotated[
        list[str] | None, typer.Option(help="To train, such as resnet18; repeatable. Default: convnet.")
    ] = None,
    networks: Annotated[int | None, typer.Option(min=1, help="How many of each are trained.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each on the condensed set.")] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="To compare with, such as random or whole; repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The one seed of every random choice.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the job.")] = None,
    priority: Annotated[str | None, typer.Option(help="Default: normal.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of an evaluation; repeatable."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--follow/--no-wait", help="Follow the job and download, or leave it to the server."),
    ] = True,
    formats: Formats = DEFAULT_FORMATS,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Train networks on a condensed set and test them on a data set.

    The exit status is 0 if the job has succeeded. Ctrl-C stops this command, not the job.
    """
    body: dict[str, Any] = nested(settings or [])
    if taken := {"kind", "dataset", "dataset_id", "condensed_set", "condensed_set_id"} & body.keys():
        raise Failed(f"--set {min(taken)}: that is not set so")
    given = {
        "architectures": [{"name": one} for one in network or ()] or None,
        "networks": networks,
        "epochs": epochs,
        "baselines": baseline or None,
        "seed": seed,
        "name": name,
        "priority": priority,
    }
    body |= {field: value for field, value in given.items() if value is not None}
    with patient_client_of(context) as client:
        chosen = _made_set(client, condensed_set)
        job = client.jobs.submit(dataset, kind="evaluate", condensed_set=chosen, **body)
        if not wait:
            put_json(job.raw) if as_json else put(job.id)
            return
        finish(job, formats, output, as_json)


def _made_set(client: Client, named: str) -> str:
    """The id of a set, or of the one that a job has made. Raises Failed."""
    if not named.startswith("job_"):
        return named
    job = client.jobs.get(named)
    if job.made_set_id is None:
        raise Failed(f"{named} has made no condensed set: it is {job.state}")
    return job.made_set_id
