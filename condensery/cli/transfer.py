"""Files there and back, with progress, and what Ctrl-C leaves."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn, TransferSpeedColumn

from condensery import Artifact, Client, CondensedSet, Job
from condensery.cli.connection import patient_client_of
from condensery.cli.group import Interrupted
from condensery.cli.output import AsJson, bars, command, counted, put, put_json, same_command, size
from condensery.client.errors import NotOffered
from condensery.client.fields import Upload

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder, which is made if it is not there. Default: one named for the job."
    ),
]
Formats = Annotated[
    list[str],
    typer.Option("--format", help="One that is offered, such as npz, or `all` of them; repeatable."),
]
#: The first that is offered of `USUAL`.
DEFAULT_FORMATS: list[str] = []
USUAL = ("safetensors", "results")


def send(client: Client, source: Path) -> Upload:
    """Upload with a bar. Raises Interrupted."""
    there = 0
    with bars(DownloadColumn(binary_units=True), TransferSpeedColumn()) as progress:
        task = progress.add_task(f"uploading {source.name}", total=None)

        def report(sent: int, whole: int) -> None:
            nonlocal there
            there = sent
            progress.update(task, completed=sent, total=whole)

        try:
            return client.upload(source, report)
        except KeyboardInterrupt as stop:
            progress.stop()
            raise Interrupted(
                f"interrupted: {size(there)} of {source} are sent and kept. To go on:\n  {same_command()}"
            ) from stop


def fetch(row: Job | CondensedSet, formats: list[str], output: Path | None) -> list[dict[str, Any]]:
    """Download what was chosen of the files of a job or a condensed set, with bars; what to print of each.

    Raises:
        NotOffered: one of the formats is not offered.
        Interrupted
    """
    folder = output or Path(row.id)
    again = command("download", row.id, *options_of(formats, output))
    return [_save(one, folder, again) for one in _chosen(row, formats)]


def _chosen(row: Job | CondensedSet, formats: list[str]) -> list[Artifact]:
    if formats and "all" not in formats:
        return [row.artifact(one) for one in formats]
    offered = row.artifacts()
    if not offered:
        raise NotOffered(f"{row.id} has no files: it is {row.state}")
    if formats:
        return offered
    by_format = {one.format: one for one in offered}
    usual = next((by_format[one] for one in USUAL if one in by_format), None)
    return [usual or row.artifact(USUAL[0])]


def download(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="JOB|SET|ARTIFACT", help="job_…, cs_… or art_…")],
    formats: Formats = DEFAULT_FORMATS,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Download files; an interrupted download goes on, and the SHA-256 is checked."""
    with patient_client_of(context) as client:
        if source.startswith("art_"):
            artifact = client.artifacts.get(source)
            named = artifact.job_id or artifact.condensed_set_id or artifact.id
            saved = [_save(artifact, output or Path(named), same_command())]
        elif source.startswith("cs_"):
            saved = fetch(client.condensed_sets.get(source), formats, output)
        else:
            saved = fetch(client.jobs.get(source), formats, output)
    if as_json:
        put_json(saved)
    else:
        put_saved(saved)


def put_saved(saved: list[dict[str, Any]]) -> None:
    for one in saved:
        put(f"{one['path']}  {counted(one['size'], 'byte')}  SHA-256 {one['sha256']}")


def _save(artifact: Artifact, folder: Path, again: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / Path(artifact.file_name).name
    there = 0
    with bars(DownloadColumn(binary_units=True), TransferSpeedColumn()) as progress:
        task = progress.add_task(f"downloading {artifact.file_name}", total=artifact.size)

        def report(came: int, _whole: int) -> None:
            nonlocal there
            there = came
            progress.update(task, completed=came)

        try:
            path = artifact.download(target, report)
        except KeyboardInterrupt as stop:
            progress.stop()
            raise Interrupted(
                f"interrupted: {size(there)} of {target} are there. To go on:\n  {again}"
            ) from stop
    return {"path": str(path), **{name: artifact.raw[name] for name in ("id", "format", "size", "sha256")}}


def options_of(formats: list[str], output: Path | None) -> list[str]:
    """How they are typed, where they are not the default."""
    chosen = [word for one in formats for word in ("--format", one)]
    return chosen + ([] if output is None else ["--output", str(output)])
