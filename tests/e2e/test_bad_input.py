"""Bad input is answered clearly, and nothing is left behind."""

import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from condensery import ApiError, Client, NothingToSend
from tests.data.case import AS_DELIVERED, Case
from tests.data.corpus import CASES
from tests.support.service import ROOT, Service, wait_for_dataset

#: An attempt is a process, which takes seconds to start. PostgreSQL gets what a database might not store.
UPLOADED = {
    "embedded": ("zst-memory", "parquet-footer-contradiction", "webdataset-shard-cut", "cifar-bin-cut"),
    "production": (
        "zip-name-nul",
        "parquet-no-label",
        "jsonl-file-surrogate",
        "pickle-system-2",
        "set-one-class",
    ),
}


def uploaded(service: Service) -> list[Case]:
    """The unit tests read every case; CONDENSERY_WHOLE_CORPUS uploads every one, which takes long."""
    able = [case for case in CASES if case.limits == AS_DELIVERED and case.code != "empty_file"]
    if os.environ.get("CONDENSERY_WHOLE_CORPUS"):
        return able
    names = UPLOADED["production" if "CONDENSERY_BROKER_URL" in service.environment else "embedded"]
    chosen = [case for case in able if case.name in names]
    assert len(chosen) == len(names)
    return chosen


def test_unusable_uploads_are_invalid_say_why_and_leave_nothing(own_service: Service, tmp_path: Path) -> None:
    own_service.environment["CONDENSERY_CPU_SLOTS"] = "2"
    own_service.start()
    before = own_service.blobs(), own_service.temporary(), own_service.rows()
    cases = uploaded(own_service)
    with own_service.client() as client:
        begun: list[tuple[Case, str, str]] = []
        for case in cases:
            file = tmp_path / case.name
            file.write_bytes(case.make())
            upload = client.upload(file)
            dataset = client.post("/v1/datasets", {"upload_id": upload.id})
            begun.append((case, upload.id, dataset["id"]))
        wrong = {}
        for case, upload_id, dataset_id in begun:
            dataset = wait_for_dataset(client, dataset_id)
            if not _as_stated(dataset, case):
                wrong[case.name] = dataset["state"], dataset["problem"]
            with pytest.raises(ApiError, match="dataset_not_ready"):
                client.post("/v1/jobs", {"dataset_id": dataset_id, "ipc": 1})
            client.delete(f"/v1/datasets/{dataset_id}")
            client.delete(f"/v1/uploads/{upload_id}")
    assert wrong == {}
    assert not (ROOT / "canary-sang").exists()
    assert (own_service.blobs(), own_service.temporary(), own_service.rows()) == before


def _as_stated(dataset: dict[str, Any], case: Case) -> bool:
    problem = dataset["problem"] or {}
    facts = {key: problem.get(key) for key in ("code", *case.context)}
    return dataset["state"] == "invalid" and facts == {"code": case.code, **case.context}


def test_empty_file_is_refused_at_once(service: Service, client: Client, tmp_path: Path) -> None:
    before = service.blobs()
    (tmp_path / "empty").touch()
    with pytest.raises(NothingToSend, match="empty is empty"):
        client.upload(tmp_path / "empty")
    refused = httpx2.put(f"{service.url}/v1/uploads", content=b"")
    assert (refused.status_code, refused.json()["code"]) == (422, "empty_file")
    assert service.blobs() == before
    assert service.temporary() == []


def test_a_job_on_a_data_set_that_is_still_read_is_refused(own_service: Service, digits_zip: Path) -> None:
    own_service.migrate()
    own_service.start_api()  # and no worker
    with own_service.client() as client:
        upload = client.upload(digits_zip)
        dataset = client.post("/v1/datasets", {"upload_id": upload.id})
        with pytest.raises(ApiError, match=r"409 dataset_not_ready: ds_.* is ingesting"):
            client.post("/v1/jobs", {"dataset_id": dataset["id"], "ipc": 1})


def test_a_body_over_the_limit_is_refused_and_gone(own_service: Service, tmp_path: Path) -> None:
    own_service.environment["CONDENSERY_MAX_UPLOAD_BYTES"] = "1000000"
    own_service.migrate()
    own_service.start_api()
    (tmp_path / "large").write_bytes(bytes(1_000_001))
    with own_service.client() as client, pytest.raises(ApiError, match=r"413 too_large: .*limit.* 1000000"):
        client.upload(tmp_path / "large")
    refused = httpx2.put(f"{own_service.url}/v1/uploads", content=bytes(1_000_001))
    assert (refused.status_code, refused.json()["limit"]) == (413, 1_000_000)
    assert own_service.blobs() == []
    assert own_service.temporary() == []
