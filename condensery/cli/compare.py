"""`compare`: jobs side by side, the settings that differ and the results."""

from typing import Annotated, Any

import typer

from condensery import Job
from condensery.cli.connection import client_of
from condensery.cli.output import AsJson, accuracy, put_json, put_table
from condensery.cli.settings import flat


def compare(
    context: typer.Context,
    job_ids: Annotated[list[str], typer.Argument(metavar="JOB JOB…")],
    as_json: AsJson = False,
) -> None:
    """Jobs side by side: the settings that differ, and test accuracies."""
    if len(job_ids) < 2:
        raise typer.BadParameter("name two jobs or more", param_hint="JOB JOB…")
    with client_of(context) as client:
        jobs = [client.jobs.get(one) for one in job_ids]
    differing, results = _differing(jobs), _results(jobs)
    if as_json:
        rows = {name: [one and dict(one.raw) for one in row] for name, row in results.items()}
        put_json({"jobs": job_ids, "settings": differing, "results": rows})
        return
    put_table(
        ("", *job_ids), (("name", *(job.name for job in jobs)), ("state", *(job.state for job in jobs)))
    )
    put_table(("settings that differ", *job_ids), ((name, *row) for name, row in differing.items()))
    put_table(
        ("test accuracy", *job_ids),
        ((name, *(one and accuracy(one.mean, one.std) for one in row)) for name, row in results.items()),
    )


def _differing(jobs: list[Job]) -> dict[str, list[Any]]:
    settings = [flat({"dataset_id": job.dataset_id, **job.spec}) for job in jobs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = {name: [one.get(name) for one in settings] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _results(jobs: list[Job]) -> dict[str, list[Any]]:
    """By what was trained on and by network, in the order of the first job that has it."""
    found = [{f"{one.method}, {one.network}": one for one in job.evaluations} for job in jobs]
    return {name: [one.get(name) for one in found] for name in dict.fromkeys(n for one in found for n in one)}
