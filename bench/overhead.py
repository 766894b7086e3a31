"""`python -m bench.overhead`: what the service adds to a condensation, beside the same loop in a bare script.

A job's time is that between its events `estimate` and `phase`: iterations, and between them progress,
metrics, checkpoints, heartbeats of the lease and requests to stop. The bare script does the same iterations
on the same data after the same dry run. The two take turns; the service's other processes idle meanwhile.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from os import environ
from pathlib import Path
from statistics import median

import numpy as np

from bench.machine import machine
from bench.page import write_section
from condensery import Client
from core.kinds.condense.spec import CondenseSpec
from tests.support.service import DELIVERED, ROOT, Service, finish, upload_dataset
from worker.runner_environment import RUNNER_ENVIRONMENT

PAIRS = 5
IMAGES, CLASSES, SIDE = 5_000, 10, 32
SPEC = {
    "recipe": "fast",
    "ipc": 1,
    "iterations": 150,
    "evaluation": {"networks": 1, "epochs": 1, "baselines": []},
}


def main() -> int:
    """Measure, print and write the section."""
    with tempfile.TemporaryDirectory() as name:
        service = Service(Path(name) / "data", CONDENSERY_DEVICE="cpu", **DELIVERED)
        try:
            service.start()
            with service.client() as client:
                dataset_id = _upload(client, Path(name) / "set.npz")
                (canonical,) = (service.data_dir / "blobs" / "datasets" / dataset_id).iterdir()
                turns = [(_job(client, dataset_id), _bare(canonical)) for _ in range(PAIRS + 1)]
        finally:
            service.stop()
    text = section(turns[1:])
    print(text)  # noqa: T201
    write_section("overhead", text)
    return 0


def _upload(client: Client, file: Path) -> str:
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(file, x_train=images, y_train=np.arange(IMAGES) % CLASSES)
    dataset = upload_dataset(client, file)
    if dataset["state"] != "ready":
        raise RuntimeError(f"bench: {dataset['problem']}")
    return str(dataset["id"])


def _job(client: Client, dataset_id: str) -> float:
    job_id = str(client.post("/v1/jobs", {"dataset_id": dataset_id, **SPEC})["id"])
    finish(client, job_id)
    at: dict[str, datetime] = {}
    after = 0
    while page := client.get(f"/v1/jobs/{job_id}/events", limit=100, after=after)["data"]:
        for event in page:
            at.setdefault(event["type"], datetime.fromisoformat(event["created_at"]))
        after = page[-1]["seq"]
    return (at["phase"] - at["estimate"]).total_seconds()


def _bare(canonical: Path) -> float:
    command = [sys.executable, "-m", "bench.overhead", str(canonical)]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env={**environ, **RUNNER_ENVIRONMENT}, check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout))


def bare(folder: Path) -> float:
    """Seconds of the iterations alone, in this process."""
    import torch

    from core.data.canonical.canonical_set import CanonicalSet
    from core.engine.condense import condense
    from core.engine.estimate import estimate
    from core.engine.images import LabelledImages
    from core.engine.state import initial_state
    from core.kinds.device import make_deterministic

    make_deterministic()
    canonical, device = CanonicalSet.open(folder), torch.device("cpu")
    real = LabelledImages(
        images_NHWC=canonical.train.images_NHWC,
        labels_N=canonical.train.labels_N,
        mean=tuple(canonical.manifest.mean),
        std=tuple(canonical.manifest.std),
        num_classes=len(canonical.manifest.classes),
    )
    config = CondenseSpec.model_validate(SPEC).resolved(SIDE, len(real.labels_N), CLASSES).condense_config()
    state = initial_state(real, config, device)
    estimate(real, config, state, device)
    began = time.perf_counter()
    *_, last = condense(real, config, device=device, state=state)
    last.loss.item()
    return time.perf_counter() - began


def section(pairs: list[tuple[float, float]]) -> str:
    """Markdown."""
    ratios = [ours / bare for ours, bare in pairs]
    return f"""## What the service adds to a job

| | seconds |
|---|---|
| a job's iterations, in the service | {median(ours for ours, _ in pairs):.2f} |
| the same iterations, in a bare script | {median(bare for _, bare in pairs):.2f} |

Job ÷ script: median {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}, of {len(pairs)}
alternating pairs (goal: at most 1.02). {SPEC["iterations"]} iterations of recipe `{SPEC["recipe"]}`,
{SPEC["ipc"]} image per class, {CLASSES} classes of {SIDE} px; between a job's events `estimate` and `phase`.
What comes before, starting the process and loading torch, is no part of it.

**Machine.** {machine()}."""


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(bare(Path(sys.argv[1]))))  # noqa: T201
        sys.exit(0)
    sys.exit(main())
