"""Files there and back, with progress, and what Ctrl-C leaves."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn, TransferSpeedColumn

from condensery.cli.connection import patient_client_of
from condensery.cli.group import Interrupted
from condensery.cli.output import AsJson, bars, command, counted, put, put_json, same_command, size
from condensery.client.client import Client
from condensery.client.errors import NotOffered
from condensery.client.fields import Upload
from condensery.client.resources import Artifact, Job

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder, which is made if it is not there. Default: one named for the job."
    ),
]
FORMATS = ("safetensors", "manifest", "npz", "pt", "parquet", "webdataset", "png", "preview", "all")


def _known(formats: list[str]) -> list[str]:
    """As they came. A mistyped one must not be found out only when the job has ended, hours later."""
    for one in formats:
        if one not in FORMATS:
            raise typer.BadParameter(f"{one!r} is none of {', '.join(FORMATS)}")
    return formats


Formats = Annotated[
    list[str],
    typer.Option(
        "--format", callback=_known, help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}; repeatable."
    ),
]
DEFAULT_FORMATS = ["safetensors"]


def send(client: Client, source: Path) -> Upload:
    """Upload with a bar. Raises Interrupted."""
    there = 0
    with bars(DownloadColumn(binary_units=True), TransferSpeedColumn()) as progress:
        task = progress.add_task(f"uploading {source.name}", total=None)

        def tell(sent: int, whole: int) -> None:
            nonlocal there
            there = sent
            progress.update(task, completed=sent, total=whole)

        try:
            return client.upload(source, tell)
        except KeyboardInterrupt as stop:
            progress.stop()
            raise Interrupted(
                f"interrupted: {size(there)} of {source} are sent and kept. To go on:\n  {same_command()}"
            ) from stop


def fetch(job: Job, formats: list[str], output: Path | None) -> list[dict[str, Any]]:
    """Download what was chosen of a job's files, with bars; what to print of each.

    Raises:
        NotOffered: the job does not offer one of the formats.
        Interrupted
    """
    folder = output or Path(job.id)
    offered = job.artifacts() if "all" in formats else [job.artifact(one) for one in formats]
    if not offered:
        raise NotOffered(f"{job.id} has no files: it is {job.state}")
    return [_save(one, folder, command("download", job.id, *options_of(formats, output))) for one in offered]


def download(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="JOB|ARTIFACT", help="job_… or art_…")],
    formats: Formats = DEFAULT_FORMATS,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Download a job's files; an interrupted download goes on, and the SHA-256 is checked."""
    with patient_client_of(context) as client:
        if source.startswith("art_"):
            artifact = client.artifacts.get(source)
            saved = [_save(artifact, output or Path(artifact.job_id), same_command())]
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

        def tell(came: int, _whole: int) -> None:
            nonlocal there
            there = came
            progress.update(task, completed=came)

        try:
            path = artifact.download(target, tell)
        except KeyboardInterrupt as stop:
            progress.stop()
            raise Interrupted(
                f"interrupted: {size(there)} of {target} are there. To go on:\n  {again}"
            ) from stop
    return {"path": str(path), **{name: artifact.raw[name] for name in ("id", "format", "size", "sha256")}}


def options_of(formats: list[str], output: Path | None) -> list[str]:
    """How they are typed, where they are not the default."""
    given = [] if formats == DEFAULT_FORMATS else formats
    chosen = [word for one in given for word in ("--format", one)]
    return chosen + ([] if output is None else ["--output", str(output)])
