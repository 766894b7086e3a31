"""Two workers that share a database, a broker and a bucket, but no disk."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import settings_of
from tests.support.buckets import aws_environment, new_bucket
from tests.support.service import Service, digests, finish, upload_dataset, wait_for_event

JOB = {
    "ipc": 2,
    "iterations": 60,
    "batch_real": 16,
    "network": {"width": 8, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 2, "baselines": ["random"]},
    "seed": 11,
}


@pytest.fixture
def machines(
    request: pytest.FixtureRequest, tmp_path: Path, s3_address: str
) -> Iterator[tuple[Service, Service]]:
    """The first has the API, too. Nothing is started yet."""
    with ExitStack() as stack:
        settings = {
            **settings_of("production", request, stack, 2),
            **aws_environment(s3_address),
            "CONDENSERY_STORAGE_URL": new_bucket(s3_address),
        }
        first, second = (Service(tmp_path / name, **settings) for name in ("first", "second"))
        for one in (first, second):
            stack.callback(one.stop)
        yield first, second


def copies(machine: Service) -> set[str]:
    return {path.parent.name for path in (machine.data_dir / "cache").rglob("content")}


@pytest.mark.skipif(not os.environ.get("CONDENSERY_TEST_SLOW"), reason="a minute: set CONDENSERY_TEST_SLOW")
def test_a_job_goes_on_at_another_machine_and_ends_with_the_same_bytes(
    machines: tuple[Service, Service], digits_zip: Path
) -> None:
    first, second = machines
    first.start()
    with first.client() as client:
        dataset = upload_dataset(client, digits_zip)
        assert dataset["state"] == "ready", dataset["problem"]
        body = {"dataset_id": dataset["id"], **JOB}
        undisturbed = finish(client, client.post("/v1/jobs", body)["id"])
        assert undisturbed["state"] == "succeeded", undisturbed["problem"]

        job_id = client.post("/v1/jobs", body)["id"]
        wait_for_event(client, job_id, "checkpoint")
        first.kill_worker()
        second.start_worker()
        disturbed = finish(client, job_id)
        assert disturbed["state"] == "succeeded", disturbed["problem"]
        assert disturbed["resumes"] == 1
        assert digests(client, job_id) == digests(client, undisturbed["id"])
        for one in client.get(f"/v1/jobs/{job_id}/artifacts")["data"]:
            client.artifacts.get(one["id"]).download(first.data_dir / "downloaded")  # checks the SHA-256
    assert any(name.startswith(f"datasets+{dataset['id']}") for name in copies(second))
    for machine in machines:
        assert not (machine.data_dir / "blobs").exists()
