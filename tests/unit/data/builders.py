"""Small uploads of every format, and the call under test."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical.canonical_set import Manifest
from core.data.ingest import ingest
from core.data.limits import Limits
from core.errors import CondenseryError

Files = dict[str, bytes]


def pixels(count: int, size: int = 16, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image_HWC: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_HWC[..., 0] if image_HWC.shape[-1] == 1 else image_HWC).save(buffer, kind)
    return buffer.getvalue()


def folder(
    classes: tuple[str, ...] = ("cat", "dog"), each: int = 3, prefix: str = "", size: int = 16, seed: int = 0
) -> Files:
    images = pixels(len(classes) * each, size, seed=seed)
    return {
        f"{prefix}{name}/{i}.png": encode(images[label * each + i])
        for label, name in enumerate(classes)
        for i in range(each)
    }


def make_zip(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: Files, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_folder(path: Path, files: Files) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def idx_images(images_NHW: NDArray[np.uint8]) -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3I", *images_NHW.shape) + images_NHW.tobytes()


def idx_labels(labels: list[int]) -> bytes:
    return b"\0\0\x08\x01" + struct.pack(">I", len(labels)) + bytes(labels)


def idx_files() -> Files:
    images = pixels(10, 16, 1)[..., 0]
    return {
        "train-images-idx3-ubyte.gz": gzip.compress(idx_images(images[:6])),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx_labels([3, 7, 3, 7, 3, 7])),
        "t10k-images-idx3-ubyte": idx_images(images[6:]),
        "t10k-labels-idx1-ubyte": idx_labels([7, 7, 3, 3]),
    }


def cifar_files(images: NDArray[np.uint8], protocol: int = 2) -> Files:
    flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    labels = [i % 2 for i in range(len(images))]
    files = {"batches.meta": pickle.dumps({b"label_names": [b"frog", b"ship"]}, protocol)}
    for name, part in (
        ("data_batch_1", slice(0, 4)),
        ("data_batch_2", slice(4, 8)),
        ("test_batch", slice(8, 12)),
    ):
        files[name] = pickle.dumps({b"data": flat[part], b"labels": labels[part]}, protocol)
    return {f"cifar-10-batches-py/{name}": data for name, data in files.items()}


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def run(
    source: Path,
    out: Path,
    limits: Limits | None = None,
    image_size: int | None = None,
    channels: int | None = None,
) -> Manifest:
    return ingest(source, out, limits=limits or Limits(), image_size=image_size, channels=channels)


def refused(source: Path, limits: Limits | None = None) -> CondenseryError:
    """Ingest and fail; nothing may be left behind, in a new folder or in an empty one."""
    out = source.parent / "new"
    with pytest.raises(CondenseryError) as caught:
        run(source, out, limits)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(CondenseryError):
        run(source, out, limits)
    assert list(out.iterdir()) == []
    out.rmdir()
    assert [entry.name for entry in source.parent.iterdir()] == [source.name]
    return caught.value
