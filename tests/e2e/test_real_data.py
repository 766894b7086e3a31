"""The usual public sets, unmodified, where the machine has them."""

import zipfile
from pathlib import Path

import pytest

from condensery import Client
from tests.support.service import upload_dataset


def _check(client: Client, file: Path, train: int, test: int, size: int, channels: int) -> None:
    dataset = upload_dataset(client, file)
    assert dataset["state"] == "ready", dataset["problem"]
    manifest = dataset["manifest"]
    assert manifest["splits"]["train"]["count"] == train
    assert manifest["splits"]["test"]["count"] == test
    assert len(manifest["classes"]) == 10
    assert (manifest["image_size"], manifest["channels"]) == (size, channels)
    client.delete(f"/v1/datasets/{dataset['id']}")


def test_fashion_mnist_idx_files_zipped(client: Client, real_data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "fashion-mnist.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in sorted((real_data / "FashionMNIST").glob("*.gz")):
            target.write(file, file.name)
    _check(client, archive, 60_000, 10_000, 28, 1)


@pytest.mark.parametrize(
    ("name", "train", "test", "size"),
    [("cifar-10-python.tar.xz", 50_000, 10_000, 32), ("imagenette224-mini.zip", 1_500, 500, 224)],
)
def test_archive_as_published(
    client: Client, real_data: Path, name: str, train: int, test: int, size: int
) -> None:
    if not (real_data / name).is_file():
        pytest.skip(f"no {name} in {real_data}")
    _check(client, real_data / name, train, test, size, 3)
