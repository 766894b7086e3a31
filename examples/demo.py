"""`make demo`: the whole path, on this machine, with real images. Exit status 0 only if every step held."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from condensery import Client, CondenseryError, Job
from examples.digits import write_zip

JOB: dict[str, Any] = {
    "ipc": 10,
    "iterations": 300,
    "batch_real": 128,
    "augment": "color_crop_cutout_scale_rotate",  # no flip: a mirrored 2 is no 2
    "network": {"width": 32},
    "evaluation": {"networks": 3, "epochs": 300, "whole_epochs": 30},
    "name": "demo",
}
#: With --quick: every step, but so little of each that the accuracies mean nothing.
QUICK: dict[str, Any] = JOB | {
    "iterations": 20,
    "network": {"width": 8},
    "evaluation": {"networks": 1, "epochs": 10, "whole_epochs": 1},
}
console = Console()


class DemoFailed(Exception):
    """A step did not hold."""


def main(settings: dict[str, Any]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that the service is stopped then too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    port = _free_port(int(os.environ.get("CONDENSERY_PORT", "8000")))
    data = Path(os.environ.get("CONDENSERY_DATA_DIR", "data"))
    data.mkdir(parents=True, exist_ok=True)
    log = data / "demo.log"
    console.print(f"[bold]1[/] starting the service on port {port} (its log: {log})")
    with log.open("wb") as stream:
        service = subprocess.Popen(
            [sys.executable, "-m", "condensery.cli", "up", "--port", str(port)],
            stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    try:
        with Client(f"http://127.0.0.1:{port}", os.environ.get("CONDENSERY_API_KEY")) as client:
            _wait_until_ready(service, port)
            _run(client, data, port, settings)
    except (DemoFailed, CondenseryError) as error:
        console.print(f"[bold red]failed:[/] {error}\nsee {log}")
        return 1
    except KeyboardInterrupt:
        console.print(f"interrupted; what was made so far is in {data}")
        return 130
    finally:
        service.send_signal(signal.SIGINT)
        status = service.wait(60)
    if status:
        console.print(f"[bold red]failed:[/] the service ended with status {status}; see {log}")
    return status


def _run(client: Client, data: Path, port: int, settings: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.zip"
        count = write_zip(digits)
        console.print(f"[bold]2[/] uploading {count} handwritten digits, {digits.stat().st_size:,} bytes")
        upload = client.upload(digits)
    dataset = client.datasets.add(upload, name="digits").wait()
    assert dataset.manifest is not None
    splits = dataset.manifest["splits"]
    if splits["train"]["count"] + splits["test"]["count"] != count:
        raise DemoFailed(f"{count} images were sent, {splits} arrived")
    console.print(
        f"  {dataset.id}: {splits['train']['count']} training and {splits['test']['count']} test images, "
        f"{len(dataset.manifest['classes'])} classes, {dataset.image_size} px"
    )
    job = client.jobs.submit(dataset, **settings)
    console.print(f"[bold]3[/] condensing to {settings['ipc']} images per class: {job.id}")
    job = _follow(job)
    _print_results(job)
    target = data / "demo"
    target.mkdir(exist_ok=True)
    for name in ("safetensors", "preview"):
        artifact = job.artifact(name)
        path = artifact.download(target)
        console.print(f"[bold]4[/] {path}: {artifact.size:,} bytes, SHA-256 {artifact.sha256} holds")
    body = json.dumps({"dataset_id": dataset.id, **settings})
    _print_by_hand(port, dataset.id, body, job.id, job.artifact("safetensors").id)


def _follow(job: Job) -> Job:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting", total=None, note="")
        for event in job.events():
            kind, found = event.type, event.data
            if kind == "progress":
                progress.update(
                    bar, description=found["phase"], total=found["total"], completed=found["done"],
                    note=found["text"],
                )  # fmt: skip
            elif kind == "evaluated":
                progress.console.print(f"  {found['method']}: {found['accuracy']:.1%}")
        progress.update(bar, description="done", total=1, completed=1, note="")
    return job.wait()


def _print_results(job: Job) -> None:
    table = Table("trained on", "images", "test accuracy", "networks")
    for one in job.evaluations:
        std = f" ± {one.std:.1%}" if one.std is not None else ""
        table.add_row(one.method, f"{one.train_images:,}", f"{one.mean:.1%}{std}", str(one.n))
    console.print(table)


def _print_by_hand(port: int, dataset_id: str, body: str, job_id: str, artifact_id: str) -> None:
    server = f"http://127.0.0.1:{port}"
    console.print(
        f"\nThe same by hand: [bold]make up[/] serves at {server}; then, with a folder of images zipped:"
    )
    for line in (
        ".venv/bin/python -m examples.digits digits.zip",
        f"curl -T digits.zip '{server}/v1/uploads?file_name=digits.zip'",
        f'curl --json \'{{"upload_id": "up_…"}}\' {server}/v1/datasets',
        f"curl {server}/v1/datasets/{dataset_id}",
        f"curl --json '{body}' {server}/v1/jobs",
        f"curl -N {server}/v1/jobs/{job_id}/events/stream",
        f"curl -OJ {server}/v1/artifacts/{artifact_id}/content",
    ):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _wait_until_ready(service: "subprocess.Popen[bytes]", port: int) -> None:
    import httpx2

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise DemoFailed(f"the service ended with status {service.returncode}")
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise DemoFailed("the service was not ready within 60 seconds")


def _free_port(wanted: int) -> int:
    """The wanted port, or any other if something listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no port is free")


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    options.add_argument("--quick", action="store_true", help="only show that every step holds")
    sys.exit(main(QUICK if options.parse_args().quick else JOB))
