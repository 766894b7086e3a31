"""Upload → data set → job → evaluation → artifacts → download, by real processes."""

import hashlib
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from condensery import Client
from tests.support.processes import wait_for
from tests.support.receiver import Receiver, receiver
from tests.support.service import Service, finish, upload_dataset

TINY = {
    "ipc": 2,
    "iterations": 12,
    "batch_real": 16,
    "network": {"width": 8, "depth": 2},
    "augment": "color_crop_cutout_scale_rotate",
    "evaluation": {"networks": 2, "epochs": 20, "whole_epochs": 1},
}


@pytest.fixture(scope="module")
def dataset_id(service: Service, digits_zip: Path) -> str:
    with service.client() as client:
        dataset = upload_dataset(client, digits_zip, name="digits")
    assert dataset["state"] == "ready", dataset["problem"]
    assert len(dataset["manifest"]["classes"]) == 10
    assert sum(split["count"] for split in dataset["manifest"]["splits"].values()) == 1797
    return str(dataset["id"])


@pytest.fixture(scope="module")
def target(service: Service) -> Iterator[Receiver]:
    """Told by a webhook of this service."""
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def webhook(service: Service, target: Receiver) -> Iterator[dict[str, Any]]:
    with service.client() as client:
        made = client.post("/v1/webhooks", {"url": target.url, "events": ["job.running", "job.succeeded"]})
        yield made
        client.delete(f"/v1/webhooks/{made['id']}")


@pytest.fixture(scope="module")
def job(service: Service, dataset_id: str, webhook: dict[str, Any]) -> dict[str, object]:
    with service.client() as client:
        submitted = client.post("/v1/jobs", {"dataset_id": dataset_id, "seed": 3, **TINY})
        return finish(client, submitted["id"])


def test_job_is_evaluated_beside_honest_baselines(job: dict[str, object]) -> None:
    assert job["state"] == "succeeded", job["problem"]
    evaluations = {one["method"]: one for one in job["evaluations"]}  # type: ignore[attr-defined]
    assert list(evaluations) == ["condensed", "png", "random", "whole"]
    for method, count in (("condensed", 20), ("png", 20), ("random", 20), ("whole", 1528)):
        one = evaluations[method]
        assert one["train_images"] == count
        assert one["n"] == 2 == len(one["accuracies"])
        assert one["mean"] == pytest.approx(np.mean(one["accuracies"]))
        assert one["std"] == pytest.approx(np.std(one["accuracies"], ddof=1))
    result = job["result"]
    assert isinstance(result, dict)
    assert result["ior"] == pytest.approx(evaluations["condensed"]["mean"] - evaluations["random"]["mean"])


def test_events_are_gapless_and_tell_the_story(client: Client, job: dict[str, object]) -> None:
    seen = list(client.follow(f"/v1/jobs/{job['id']}"))
    assert [event["seq"] for _, event in seen[:-1]] == list(range(1, len(seen)))
    story = [kind for kind, _ in seen if kind not in ("progress", "checkpoint", "snapshot")]
    assert story[:4] == ["queued", "running", "estimate", "phase"]
    assert story[4:12] == ["evaluated"] * 8
    assert story[12:] == ["queued", "running", "succeeded", "end"]


def test_the_webhook_was_told(job: dict[str, object], webhook: dict[str, Any], target: Receiver) -> None:
    def deliveries() -> list[dict[str, Any]]:
        every = [one.verified(webhook["secret"]) for one in target.received]
        return [one for one in every if one["data"]["id"] == job["id"]]

    wait_for(lambda: len(deliveries()) >= 3)
    in_order = sorted(deliveries(), key=lambda one: one["data"]["seq"])
    assert [one["type"] for one in in_order] == ["job.running", "job.running", "job.succeeded"]


def test_loss_curve_has_every_iteration_of_a_short_job(client: Client, job: dict[str, object]) -> None:
    points = client.get(f"/v1/jobs/{job['id']}/metrics")["data"]
    assert [point["iteration"] for point in points] == list(range(1, 13))
    assert all(point["loss"] > 0 for point in points)


def test_artifacts_are_what_they_say(client: Client, job: dict[str, object], tmp_path: Path) -> None:
    artifacts = {one["format"]: one for one in client.get(f"/v1/jobs/{job['id']}/artifacts")["data"]}
    assert set(artifacts) == {
        "safetensors", "manifest", "npz", "pt", "parquet", "webdataset", "png", "preview",
    }  # fmt: skip
    for one in artifacts.values():
        path = client.artifacts.get(one["id"]).download(tmp_path)
        assert path.stat().st_size == one["size"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"]
    with np.load(tmp_path / artifacts["npz"]["file_name"], allow_pickle=False) as arrays:
        assert arrays["images"].shape == (20, 1, 16, 16)
        assert arrays["labels"].tolist() == [c for c in range(10) for _ in range(2)]
    with Image.open(tmp_path / artifacts["preview"]["file_name"]) as preview:
        preview.verify()


def test_curl_resumes_a_download(
    service: Service, client: Client, job: dict[str, object], tmp_path: Path
) -> None:
    artifact = client.get(f"/v1/jobs/{job['id']}/artifacts")["data"][0]
    target = tmp_path / "part"
    url = f"{service.url}/v1/artifacts/{artifact['id']}/content"
    subprocess.run(["curl", "-sS", "-r", "0-999", "-o", target, url], check=True)
    assert target.stat().st_size == 1000
    subprocess.run(["curl", "-sS", "-C", "-", "-o", target, url], check=True)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == artifact["sha256"]


def test_same_seed_same_bytes_other_seed_others(
    client: Client, dataset_id: str, job: dict[str, object]
) -> None:
    def digests(job_id: object) -> dict[str, str]:
        artifacts = client.get(f"/v1/jobs/{job_id}/artifacts")["data"]
        return {one["format"]: one["sha256"] for one in artifacts}

    again, other = (
        finish(client, client.post("/v1/jobs", {"dataset_id": dataset_id, "seed": seed, **TINY})["id"])
        for seed in (3, 4)
    )
    assert digests(again["id"]) == digests(job["id"])
    assert digests(other["id"])["safetensors"] != digests(job["id"])["safetensors"]


def test_preview_of_a_data_set(service: Service, dataset_id: str) -> None:
    url = f"{service.url}/v1/datasets/{dataset_id}/preview"
    png = subprocess.run(["curl", "-sS", "--fail", url], check=True, capture_output=True).stdout
    with Image.open(io.BytesIO(png)) as preview:
        assert preview.format == "PNG"


def test_running_job_is_cancelled_within_a_step_and_leaves_only_its_snapshots(
    service: Service, client: Client, dataset_id: str
) -> None:
    before = service.blobs()
    long = TINY | {"iterations": 1_000_000}
    submitted = client.post("/v1/jobs", {"dataset_id": dataset_id, **long})
    for kind, _ in client.follow(f"/v1/jobs/{submitted['id']}"):
        if kind == "checkpoint":
            client.post(f"/v1/jobs/{submitted['id']}/cancel")
            break
    ended = finish(client, submitted["id"])
    assert ended["state"] == "cancelled"
    left = set(service.blobs()) - set(before)
    assert left and all("/snapshot-" in one for one in left)
    client.delete(f"/v1/jobs/{submitted['id']}")
    assert service.blobs() == before
    assert service.temporary() == []
