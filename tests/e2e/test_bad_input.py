"""Bad input is answered clearly, and nothing is left behind."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from condensery import ApiError, Client
from tests.support.service import Service


def _png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((16, 16), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def _folder_zip(names: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, _png(number * 20))
    return out.getvalue()


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


GOOD = [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(4)]

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "truncated zip": (lambda: _folder_zip(GOOD)[:-400], "truncated_archive"),
    "zip with ../ names": (lambda: _folder_zip([*GOOD, "../../etc/evil.png"]), "unsafe_member_name"),
    "npz of objects": (
        lambda: _npz(images=np.array([{}, []], dtype=object), labels=np.array([0, 1])),
        "object_array",
    ),
    "one class only": (lambda: _folder_zip(["cat/1.png", "cat/2.png"]), "too_few_classes"),
    "text file": (lambda: b"Dear server, please condense this.\n" * 50, "unrecognised_format"),
    "zip of broken images": (lambda: _folder_zip(GOOD).replace(b"PNG", b"PNX"), "unrecognised_format"),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_upload_is_invalid_and_says_why(
    service: Service, client: Client, tmp_path: Path, name: str
) -> None:
    make, code = BAD[name]
    file = tmp_path / "bad.bin"
    file.write_bytes(make())
    before = service.blobs()
    upload = client.upload(file)
    dataset = client.post("/v1/datasets", {"upload_id": upload["id"]})
    dataset = client.wait_for_dataset(dataset["id"])
    assert dataset["state"] == "invalid"
    assert dataset["problem"]["code"] == code, dataset["problem"]
    assert len(dataset["problem"]["detail"]) > 20
    with pytest.raises(ApiError, match="dataset_not_ready"):
        client.post("/v1/jobs", {"dataset_id": dataset["id"], "ipc": 1})
    client.delete(f"/v1/datasets/{dataset['id']}")
    client.delete(f"/v1/uploads/{upload['id']}")
    assert service.blobs() == before
    assert service.temporary() == []


def test_empty_file_is_refused_at_once(service: Service, client: Client, tmp_path: Path) -> None:
    before = service.blobs()
    (tmp_path / "empty").touch()
    with pytest.raises(ApiError, match="422 empty_file"):
        client.upload(tmp_path / "empty")
    assert service.blobs() == before
    assert service.temporary() == []


def test_a_job_on_a_data_set_that_is_still_read_is_refused(own_service: Service, digits_zip: Path) -> None:
    own_service.run("core.db.migrate")
    own_service.start_api()  # and no worker
    with own_service.client() as client:
        upload = client.upload(digits_zip)
        dataset = client.post("/v1/datasets", {"upload_id": upload["id"]})
        with pytest.raises(ApiError, match=r"409 dataset_not_ready: ds_.* is ingesting"):
            client.post("/v1/jobs", {"dataset_id": dataset["id"], "ipc": 1})


def test_a_body_over_the_limit_is_refused_and_gone(own_service: Service, tmp_path: Path) -> None:
    own_service.environment["CONDENSERY_MAX_UPLOAD_BYTES"] = "1000000"
    own_service.run("core.db.migrate")
    own_service.start_api()
    (tmp_path / "large").write_bytes(bytes(1_000_001))
    with own_service.client() as client, pytest.raises(ApiError, match=r"413 too_large: .*limit.* 1000000"):
        client.upload(tmp_path / "large")
    assert own_service.blobs() == []
    assert own_service.temporary() == []
