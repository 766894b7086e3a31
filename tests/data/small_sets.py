"""Small valid sets of the formats that other tools write whole: Parquet, WebDataset, tables, binary CIFAR."""

import functools
import gzip
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.pack import tar_of
from tests.unit.data.builders import Files, encode, pixels

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def images(count: int = 4) -> list[bytes]:
    return [encode(image) for image in pixels(count, 8)]


def parquet(columns: dict[str, Any], features: dict[str, Any] | None = None, **options: Any) -> bytes:
    """A file as pyarrow writes it; `features` go where the `datasets` library has them."""
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@functools.cache
def parquet_sets() -> tuple[Files, ...]:
    """The last one is of shards, the others are a file each."""
    cells, labels = images(), [0, 1] * 2
    structs = pa.array([{"bytes": one, "path": "a"} for one in cells], STRUCT)
    plain: dict[str, Any] = {"image": cells, "label": labels}
    text: dict[str, Any] = {"img": cells, "class": ["a", "b"] * 2}
    files = (
        parquet({"image": structs, "label": labels}, FEATURES),
        parquet(plain, use_dictionary=False, compression="none"),
        parquet(plain, data_page_version="2.0", compression="zstd", row_group_size=2),
        parquet(
            {"image": [*cells[:3], cells[0]], "label": labels}, compression="none", write_page_checksum=True
        ),
        parquet(text, compression="none", data_page_version="2.0", row_group_size=3),
        parquet(
            plain,
            use_dictionary=False,
            column_encoding={"image": "DELTA_BYTE_ARRAY", "label": "DELTA_BINARY_PACKED"},
        ),
        parquet(
            {**plain, "image": pa.array(cells, pa.large_binary())},
            use_dictionary=False,
            compression="gzip",
            column_encoding={"image": "DELTA_LENGTH_BYTE_ARRAY", "label": "BYTE_STREAM_SPLIT"},
        ),
    )
    shards = {"data/train-0.parquet": files[1], "data/test-0.parquet": files[2], "README.md": b"text"}
    return (*({"upload": data} for data in files), shards)


def samples(labels: list[bytes], part: str = "cls", prefix: str = "") -> Files:
    """WebDataset samples with labels of this kind."""
    files: Files = {}
    for i, (image, label) in enumerate(zip(images(len(labels)), labels, strict=True)):
        files[f"{prefix}{i:04}.png"] = image
        files[f"{prefix}{i:04}.{part}"] = label
    return files


@functools.cache
def webdataset_sets() -> tuple[Files, ...]:
    numbers = samples([b"0", b"1"] * 2)
    texts = samples([b'{"label": "a"}', b'{"label": "b"}'] * 2, "json")
    return (
        numbers | {"classes.txt": b"cat\ndog\n"},
        {"train.tar": tar_of(texts), "test.tar": tar_of(samples([b'{"label": "a"}'], "json"))},
        {"train-0.tar.gz": gzip.compress(tar_of(numbers), 1), "classes.txt": b"cat\ndog"},
        {"a.tar": tar_of(samples([b"x", b"y"] * 2, "txt"))},
    )


def table(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


@functools.cache
def table_sets() -> tuple[Files, ...]:
    every = images()
    flat = {f"{i}.png": image for i, image in enumerate(every)}
    lines = (json.dumps({"file_name": name, "label": i % 2}) for i, name in enumerate(flat))
    both = {f"{split}/{name}": data for split in ("train", "test") for name, data in flat.items()}
    rows = table("id;label", *(f"{i};{'ab'[i % 2]}" for i in range(4)))
    return (
        flat | {"metadata.csv": table("file_name,label,split", *(f"{n},{n[0]},train" for n in flat))},
        flat | {"metadata.jsonl": "\n".join(lines).encode()},
        both | {"train.csv": rows, "test.csv": rows},
        flat | {"labels.tsv": table("path\tclass", *(f'{n}\t"x {int(n[0]) % 2}"' for n in flat))},
    )


def records(count: int, *labels: list[int]) -> bytes:
    """Binary CIFAR records, with one label each or with two."""
    planes = pixels(count, 32).transpose(0, 3, 1, 2).reshape(count, -1)
    return np.hstack([np.array(labels, np.uint8).T, planes]).tobytes()


@functools.cache
def cifar_binary_sets() -> tuple[Files, ...]:
    ten = {
        "cifar/batches.meta.txt": b"frog\nship\n\n",
        "cifar/data_batch_1.bin": records(3, [0, 1, 0]),
        "cifar/test_batch.bin": records(2, [0, 1]),
    }
    hundred = {
        "train.bin": records(3, [7] * 3, [2, 0, 1]),
        "test.bin": records(2, [7] * 2, [0, 1]),
        "fine_label_names.txt": b"apple\nbear\ncan\n",
        "coarse_label_names.txt": b"food\n",
    }
    return ten, hundred, {name: data for name, data in ten.items() if name.endswith(".bin")}
