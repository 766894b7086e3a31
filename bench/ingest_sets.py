"""The sets that bench.ingest reads: real ones as they are published, and one in every layout."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray
from PIL import Image

CLASSES = tuple(f"class {label}" for label in range(10))


def real_sets(data: Path, work: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each real set that is there."""
    if (idx := data / "FashionMNIST").is_dir():
        packed = work / "fashion-mnist.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(idx.rglob("*.gz")):
                archive.write(path, path.name)
        yield "Fashion-MNIST, IDX (.gz) in a zip", packed
    if (cifar := data / "cifar-10-python.tar.xz").is_file():
        yield "CIFAR-10, python version, tar.xz", cifar
    if (imagenette := data / "imagenette224-mini.zip").is_file():
        yield "Imagenette, JPEG of 224 px, zip", imagenette


def made_sets(work: Path, *, images: int, side: int) -> Iterator[tuple[str, Path]]:
    """The same images in every layout."""
    files = _jpegs(images, side)
    for name, write in (
        ("JPEG in class folders, zip", _zip),
        ("JPEG in class folders, tar", _tar),
        ("JPEG in class folders, tar.zst", _tar_zst),
        ("JPEG in class folders, on the server's disk", _folder),
        ("JPEG with a table (metadata.csv), zip", _table),
        ("JPEG, WebDataset tar", _webdataset),
        ("JPEG, Parquet in the Hugging Face layout", _parquet),
        ("pixels, npz", _npz),
    ):
        yield f"made: {name}", write(files, work)


Files = list[tuple[int, bytes]]


def _jpegs(images: int, side: int) -> Files:
    """Smooth images with some noise: JPEG takes as long with them as with photographs."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(images):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape, dtype=np.int16), 0, 255)
        buffer = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(buffer, "JPEG", quality=85)
        found.append((number % len(CLASSES), buffer.getvalue()))
    return found


def _names(files: Files) -> Iterator[tuple[str, bytes]]:
    for number, (label, data) in enumerate(files):
        yield f"{CLASSES[label]}/{number:06d}.jpg", data


def _zip(files: Files, work: Path) -> Path:
    path = work / "folders.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _names(files):
            archive.writestr(name, data)
    return path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _tar(files: Files, work: Path) -> Path:
    path = work / "folders.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in _names(files):
            _add(archive, name, data)
    return path


def _tar_zst(files: Files, work: Path) -> Path:
    path = work / "folders.tar.zst"
    with _tar(files, work).open("rb") as source, path.open("wb") as out:
        zstandard.ZstdCompressor().copy_stream(source, out)
    return path


def _folder(files: Files, work: Path) -> Path:
    path = work / "folders"
    for name, data in _names(files):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def _table(files: Files, work: Path) -> Path:
    path = work / "table.zip"
    rows = ["file_name,label"]
    with zipfile.ZipFile(path, "w") as archive:
        for number, (label, data) in enumerate(files):
            archive.writestr(f"{number:06d}.jpg", data)
            rows.append(f"{number:06d}.jpg,{CLASSES[label]}")
        archive.writestr("metadata.csv", "\n".join(rows))
    return path


def _webdataset(files: Files, work: Path) -> Path:
    path = work / "samples.tar"
    with tarfile.open(path, "w") as archive:
        for number, (label, data) in enumerate(files):
            _add(archive, f"{number:06d}.cls", str(label).encode())
            _add(archive, f"{number:06d}.jpg", data)
    return path


def _parquet(files: Files, work: Path) -> Path:
    path = work / "set.parquet"
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(CLASSES)},
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image), ("label", pa.int64())]).with_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(files), 100):
            part = files[start : start + 100]
            images = [{"bytes": data, "path": None} for _, data in part]
            labels = [label for label, _ in part]
            writer.write_table(pa.table({"image": images, "label": labels}, schema=schema))
    return path


def _npz(files: Files, work: Path) -> Path:
    path = work / "pixels.npz"
    labels = np.array([label for label, _ in files])
    first = _pixels(files[0][1])
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), *first.shape)}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as out:
            np.lib.format.write_array_header_1_0(out, header)
            # One by one: all of them at once would be gigabytes.
            for _, data in files:
                out.write(_pixels(data).tobytes())
        with archive.open("labels.npy", "w") as out:
            np.lib.format.write_array(out, labels, allow_pickle=False)
    return path


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))
