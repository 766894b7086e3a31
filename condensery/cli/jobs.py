"""Jobs: list them, show one, ask something of it."""

from itertools import islice, starmap
from typing import Annotated, Any

import typer

from condensery import Client, Job
from condensery.cli.connection import client_of, patient_client_of
from condensery.cli.datasets import put_dataset
from condensery.cli.group import Failed, Interrupted
from condensery.cli.output import (
    AsJson,
    accuracy,
    cell,
    put,
    put_facts,
    put_json,
    put_json_line,
    put_table,
    report,
    same_command,
)  # fmt: skip
from condensery.cli.sets import put_set
from condensery.cli.settings import flat, written
from condensery.cli.submit import put_results

JobIds = Annotated[list[str], typer.Argument(metavar="JOB…")]
Limit = Annotated[int, typer.Option(min=1, help="Rows to show, the newest ones.")]


def list_jobs(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in it, such as running.")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="DATASET", help="Only those on it.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    with client_of(context) as client:
        found = list(islice(client.jobs.list(state=state, dataset=dataset), limit + 1))
    shown = found[:limit]
    if as_json:
        put_json([dict(one.raw) for one in shown])
    else:
        put_table(
            ("job", "name", "kind", "state", "recipe", "ipc", "done", "made"),
            map(_row, shown),
            right=("ipc", "done"),
        )
    if len(found) > limit:
        report(f"there are more: --limit {10 * limit}")


def show(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(metavar="JOB|DATASET|SET", help="job_…, ds_… or cs_…")],
    as_json: AsJson = False,
) -> None:
    """Show a job, a data set or a condensed set."""
    with client_of(context) as client:
        if resource.startswith("ds_"):
            put_dataset(client.datasets.get(resource), as_json)
            return
        if resource.startswith("cs_"):
            put_set(client.condensed_sets.get(resource), as_json)
            return
        job = client.jobs.get(resource)
    if as_json:
        put_json(dict(job.raw))
        return
    put_facts(_facts(job))
    if job.accuracies:
        put_table(
            ("iteration", "test accuracy", "n"),
            ((one.iteration, accuracy(one.mean, one.std), one.n) for one in job.accuracies),
            right=("iteration", "n"),
        )
    if job.evaluations:
        put_results(job)


def events(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(metavar="JOB|DATASET|SET", help="job_…, ds_… or cs_…")],
    follow: Annotated[bool, typer.Option(help="Wait for more, until its end.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only those behind this number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """The history of a job, a data set or a condensed set."""
    seen = after
    try:
        with patient_client_of(context) as client:
            for one in _history(client, resource, follow, after):
                seen = one["seq"]
                if as_json:
                    put_json_line(one)
                else:
                    facts = " ".join(f"{name}={cell(value)}" for name, value in one["data"].items())
                    put(f"{one['seq']:>5}  {one['created_at']}  {one['type']}  {facts}".rstrip())
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted after event {seen}. To go on: {same_command()} --after {seen}"
        ) from stop


def cancel(context: typer.Context, job_ids: JobIds, as_json: AsJson = False) -> None:
    """Stop jobs for good."""
    _ask(context, job_ids, "cancel", as_json)


def pause(context: typer.Context, job_ids: JobIds, as_json: AsJson = False) -> None:
    """Save the state of jobs and free their devices."""
    _ask(context, job_ids, "pause", as_json)


def resume(context: typer.Context, job_ids: JobIds, as_json: AsJson = False) -> None:
    """Let paused jobs go on."""
    _ask(context, job_ids, "resume", as_json)


def _ask(context: typer.Context, job_ids: list[str], what: str, as_json: bool) -> None:
    asked = []
    with client_of(context) as client:
        for job_id in job_ids:
            job: Job = getattr(client.jobs.get(job_id), what)()
            asked.append(dict(job.raw))
            if not as_json:
                put(f"{job.id}  {job.state}")
    if as_json:
        put_json(asked)


def _history(client: Client, resource: str, follow: bool, after: int) -> Any:
    prefix = resource.partition("_")[0]
    collections: dict[str, Any] = {"job": client.jobs, "ds": client.datasets, "cs": client.condensed_sets}
    if prefix not in collections or prefix == resource:
        raise Failed(
            f"{resource!r} is neither a job's id (job_…) nor a data set's (ds_…) nor a condensed set's (cs_…)"
        )
    subject = collections[prefix].get(resource)
    if follow:
        yield from (dict(one.raw) for one in subject.events(after))
        return
    path = f"{subject.collection}/{resource}/events"
    while True:
        page = client.get(path, after=after, limit=200)
        yield from page["data"]
        if not page["has_more"]:
            return
        after = int(page["next"])


def _row(job: Job) -> tuple[Any, ...]:
    spec = job.spec
    return (
        job.id, job.name, job.kind, job.state, spec.get("recipe"), spec.get("ipc"), _done(job), job.created_at
    )  # fmt: skip


def _done(job: Job) -> str | None:
    """Of the whole job, whatever its kind."""
    now = job.progress
    return None if now is None or "total" not in now else f"{now['done'] / now['total']:.0%}"


def _facts(job: Job) -> list[tuple[str, Any]]:
    return [
        ("job", job.id),
        ("name", job.name),
        ("kind", job.kind),
        ("data set", job.dataset_id),
        ("condensed set", job.made_set_id or job.condensed_set_id),
        ("state", job.state),
        ("phase", job.phase),
        ("done", _done(job)),
        ("made", job.created_at),
        ("started", job.started_at),
        ("finished", job.finished_at),
        ("settings", ", ".join(starmap(written, flat(job.spec).items()))),
        *([("problem", str(job.problem))] if job.problem else []),
    ]
