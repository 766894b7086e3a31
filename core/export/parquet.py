"""Zip of Parquet shards in the layout of Hugging Face's `datasets`, with the card that its hub shows."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json, card_of
from core.export.hub_card import hub_readme
from core.export.writer import Writer
from core.export.zip_archive import member

SHARD_BYTES = 256 * 1024**2
"""Pixels in a shard, both forms of them; a shard is put together in memory."""

ROW_GROUP_BYTES = 16 * 1024**2
"""A reader gets no less than a row group at a time."""

METADATA = b"condensery"
STORED = "stored"
"""The split of collages as they are stored."""


def write(condensed: CondensedSet, path: Path) -> None:
    """README.md and data/train-00000-of-0000N.parquet, in the order of the set; of collages
    data/stored-00000-of-0000N.parquet as well, as they are stored.

    Columns `image` (8-bit PNG), `label` (names in the schema's `huggingface` metadata) and `pixels` (the
    exact normalised float32 C × H × W, as the extension type that `datasets` stores for Array3D). The
    provenance is each shard's metadata `condensery`.
    """
    schema = _schema(condensed)
    with ZipFile(path, "w") as archive:
        archive.writestr(member("README.md"), hub_readme(condensed, features(condensed)).encode())
        _write_shards(archive, "train", condensed, schema)
        if condensed.collages is not None:
            _write_shards(archive, STORED, condensed.as_stored(), schema)


def _write_shards(archive: ZipFile, split: str, images: CondensedSet, schema: Any) -> None:
    row_bytes = images.images_NCHW[0].size * (4 + 1)
    shards = list(_parts(len(images.labels_N), max(1, SHARD_BYTES // row_bytes)))
    for number, rows in enumerate(shards):
        content = io.BytesIO()
        pq.write_table(
            _table(images, rows, schema),
            content,
            row_group_size=max(1, ROW_GROUP_BYTES // row_bytes),
            # PNG is compressed already, and noise-like floats hardly compress.
            compression="none",
            use_dictionary=["label"],
            write_page_checksum=True,
        )
        name = f"data/{split}-{number:05d}-of-{len(shards):05d}.parquet"
        archive.writestr(member(name), content.getbuffer())


def read(path: Path) -> CondensedSet:
    with ZipFile(path) as archive:
        shards = _read_shards(archive, "train")
        stored = _read_shards(archive, STORED)
    provenance = json.loads(shards[0].schema.metadata[METADATA])
    shape = json.loads(shards[0].schema.metadata[b"huggingface"])["info"]["features"]["pixels"]["shape"]
    collages = None
    if "collages" in provenance:
        images_NCHW, labels_N = _arrays(stored, shape)
        factor = provenance["collages"]["factor"]
        collages = Collages(images_NCHW=images_NCHW, labels_N=labels_N, factor=factor)
    images_NCHW, labels_N = _arrays(shards, shape)
    return CondensedSet(
        collages=collages,
        images_NCHW=images_NCHW,
        labels_N=labels_N,
        classes=tuple(provenance["classes"]),
        mean=tuple(provenance["normalisation"]["mean"]),
        std=tuple(provenance["normalisation"]["std"]),
        card=card_of(provenance),
    )


def _read_shards(archive: ZipFile, split: str) -> list[Any]:
    names = sorted(name for name in archive.namelist() if name.startswith(f"data/{split}-"))
    return [pq.read_table(io.BytesIO(archive.read(name))) for name in names]


def _arrays(shards: list[Any], shape: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images_NCHW = np.concatenate([_flat(shard["pixels"]).reshape(-1, *shape) for shard in shards])
    return images_NCHW, np.concatenate([shard["label"].to_numpy() for shard in shards])


def features(condensed: CondensedSet) -> dict[str, dict[str, Any]]:
    """The columns in the words of `datasets`."""
    return {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(condensed.classes)},
        "pixels": {"_type": "Array3D", "dtype": "float32", "shape": list(condensed.images_NCHW.shape[1:])},
    }


def _schema(condensed: CondensedSet) -> Any:
    columns = features(condensed)
    pixels = columns["pixels"]
    # What `datasets` writes for an Array3D. Named here as metadata, for its class is in that library.
    array3d = {
        "ARROW:extension:name": "datasets.features.features.Array3DExtensionType",
        "ARROW:extension:metadata": json.dumps([pixels["shape"], pixels["dtype"]]),
    }
    provenance = condensed.provenance(pixels_normalised=True)
    return pa.schema(
        [
            pa.field("image", pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            pa.field("label", pa.int64()),
            pa.field("pixels", pa.list_(pa.list_(pa.list_(pa.float32()))), metadata=array3d),
        ],
        metadata={
            "huggingface": canonical_json({"info": {"features": columns}}),
            METADATA: canonical_json(provenance),
        },
    )


def _table(condensed: CondensedSet, rows: range, schema: Any) -> Any:
    digits = max(6, len(str(len(condensed.labels_N) - 1)))
    images = [{"bytes": condensed.png(row), "path": f"{row:0{digits}d}.png"} for row in rows]
    part = slice(rows.start, rows.stop)
    pixels = _nested(np.ascontiguousarray(condensed.images_NCHW[part]))
    columns = [pa.array(images, schema.field("image").type), pa.array(condensed.labels_N[part]), pixels]
    return pa.Table.from_arrays(columns, schema=schema)


def _nested(images_NCHW: NDArray[np.float32]) -> Any:
    """A list for each axis but the first."""
    values = pa.array(images_NCHW.reshape(-1))
    for length in images_NCHW.shape[:0:-1]:
        offsets = np.arange(0, len(values) + 1, length, dtype=np.int32)
        values = pa.ListArray.from_arrays(pa.array(offsets), values)
    return values


def _flat(column: Any) -> NDArray[np.float32]:
    chunks = []
    for chunk in column.chunks:
        # A process that has loaded `datasets` gets its extension type, any other the lists.
        values = getattr(chunk, "storage", chunk)
        for _axis in range(3):
            values = values.flatten()
        chunks.append(values.to_numpy())
    return np.concatenate(chunks)


def _parts(count: int, size: int) -> Iterator[range]:
    return (range(first, min(first + size, count)) for first in range(0, count, size))


def _loading(condensed: CondensedSet) -> list[str]:
    return [
        "from datasets import load_dataset",
        'rows = load_dataset("condensed-parquet", split="train")  # unzip … -d condensed-parquet',
        'images, labels = (rows.with_format("numpy")[column][:] for column in ("pixels", "label"))',
    ]


WRITER = Writer(
    write=write, read=read, normalised="Parquet (`pixels`)", eight_bit="Parquet (`image`)", loading=_loading
)
