"""The code on the card loads each format with that format's own library, and a network trains on it."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import ImageFolder  # type: ignore[import-untyped, unused-ignore]

from core.engine.config import EvaluateConfig, NetworkConfig
from core.engine.evaluate import train_network
from core.engine.images import LabelledImages
from core.export import parquet
from core.export.artifacts import write_all
from core.export.card import readme
from core.export.condensed import CondensedSet
from tests.unit.export.conftest import MAKE, NAMES, build, build_collages

EXACT = ["safetensors", "npz", "pt", "parquet", "webdataset"]
TRAINING = EvaluateConfig(network=NetworkConfig(width=4, depth=2), networks=1, epochs=3, augment="none")
BY_PYARROW_ALONE = """
import sys
import numpy as np
import pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
assert "datasets" not in sys.modules
pixels = np.array(table["pixels"].to_pylist(), np.float32)
sys.stdout.buffer.write(pixels.tobytes() + table["label"].to_numpy().tobytes())
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library `datasets`, without a network and with all that it writes in a folder of its own."""
    home = tmp_path_factory.mktemp("huggingface")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("HF_HOME", str(home)),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_HUB_DISABLE_TELEMETRY", "1"),
            ("HF_DATASETS_DISABLE_PROGRESS_BARS", "1"),
        ):
            patch.setenv(name, value)
        import datasets

        # Read from the environment when the library is first imported, which may have been earlier.
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        yield datasets


@pytest.fixture(params=[1, 3, 4, 0], ids=["grey", "colour", "alpha", "collages"])
def condensed(request: pytest.FixtureRequest) -> CondensedSet:
    size = {"height": 16, "width": 16}
    return build(channels=request.param, **size) if request.param else build_collages(**size)


@pytest.fixture
def written(condensed: CondensedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that somebody downloaded everything to, who is in it and unpacked the zips."""
    write_all(condensed, tmp_path)
    for name in ("condensed-png", "condensed-parquet"):
        with ZipFile(tmp_path / f"{name}.zip") as archive:
            archive.extractall(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_card(condensed: CondensedSet) -> dict[str, dict[str, Any]]:
    """What each format's lines on the card define."""
    blocks = re.findall(r"^(\w+):\n\n```python\n(.*?)\n```$", readme(condensed), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == [*EXACT, "png"]
    found: dict[str, dict[str, Any]] = {}
    for name, code in blocks:
        assert len(code.splitlines()) == 3
        found[name] = {}
        exec(code, found[name])
    return found


def weights(images_NCHW: torch.Tensor, labels_N: torch.Tensor) -> bytes:
    """Of a network that was trained on these for a few steps."""
    steps = train_network((images_NCHW, labels_N), len(NAMES), TRAINING, 0)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return b"".join(value.numpy().tobytes() for value in end.value[0].state_dict().values())


def normalised(
    levels_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], like: CondensedSet
) -> torch.Tensor:
    files = LabelledImages(
        images_NHWC=levels_NHWC, labels_N=labels_N, mean=like.mean, std=like.std, num_classes=len(NAMES)
    )
    return files.normalised(torch.arange(len(files)), "cpu")


def levels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return np.asarray(image).reshape(*image.size[::-1], channels)


def test_every_format_loads_as_the_card_says_and_trains_the_same_network(
    condensed: CondensedSet, written: Path, hub: Any
) -> None:
    loaded = run_card(condensed)
    exact = weights(torch.from_numpy(condensed.images_NCHW), torch.from_numpy(condensed.labels_N))
    for name in EXACT:
        images, labels = np.asarray(loaded[name]["images"]), np.asarray(loaded[name]["labels"])
        assert images.dtype == np.dtype("float32") and images.shape == condensed.images_NCHW.shape, name
        assert images.tobytes() == condensed.images_NCHW.tobytes(), name
        assert labels.dtype == np.int64 and labels.tolist() == condensed.labels_N.tolist(), name
        assert weights(torch.tensor(images), torch.tensor(labels)) == exact, name

    channels = condensed.images_NCHW.shape[1]
    expected = condensed.pixels_uint8_NHWC()
    lossy = weights(normalised(expected, condensed.labels_N, condensed), torch.from_numpy(condensed.labels_N))
    assert lossy != exact

    rows = loaded["parquet"]["rows"]
    assert rows.features["label"].names == list(NAMES)
    assert rows.features["pixels"] == hub.Array3D(shape=condensed.images_NCHW.shape[1:], dtype="float32")
    in_parquet = np.stack([levels_of(row["image"], channels) for row in rows])
    samples = loaded["webdataset"]["WebDataset"]("condensed-webdataset.tar", shardshuffle=False)
    in_tar = np.stack([levels_of(Image.open(io.BytesIO(sample["png"])), channels) for sample in samples])
    for levels in (in_parquet, in_tar):
        assert levels.tobytes() == expected.tobytes()
        assert (
            weights(normalised(levels, condensed.labels_N, condensed), torch.tensor(condensed.labels_N))
            == lossy
        )

    folder = loaded["png"]["dataset"]
    order = np.argsort(condensed.labels_N, kind="stable")
    in_folder = np.stack([levels_of(image, channels) for image, _ in folder])
    assert in_folder.tobytes() == expected[order].tobytes()
    assert folder.targets == condensed.labels_N[order].tolist()
    assert len(folder.classes) == len(NAMES), "the one without images keeps its place"
    # In the order of the set again, for the order of the images is the order of their gradients.
    back = np.argsort(order)
    labels_N = np.array(folder.targets)[back]
    assert weights(normalised(in_folder[back], labels_N, condensed), torch.tensor(labels_N)) == lossy


def test_image_folder_by_itself_makes_rgb_of_everything(written: Path) -> None:
    """As the card says."""
    assert ImageFolder("condensed-png", allow_empty=True)[0][0].mode == "RGB"


def test_pyarrow_alone_reads_the_same(condensed: CondensedSet, written: Path) -> None:
    sets = (
        {"train": condensed}
        if condensed.collages is None
        else {
            "train": condensed,
            "stored": condensed.as_stored(),
        }
    )
    shards = {path.name.split("-")[0]: path for path in (written / "condensed-parquet" / "data").iterdir()}
    assert shards.keys() == sets.keys()
    for split, shard in shards.items():
        read = subprocess.run(
            [sys.executable, "-c", BY_PYARROW_ALONE, shard], capture_output=True, check=True
        )
        assert read.stdout == sets[split].images_NCHW.tobytes() + sets[split].labels_N.tobytes()


def test_the_hubs_library_has_collages_as_a_split_of_their_own(
    condensed: CondensedSet, written: Path, hub: Any
) -> None:
    splits = hub.load_dataset("condensed-parquet")
    assert set(splits) == {"train"} | ({"stored"} if condensed.collages is not None else set())
    assert len(splits["train"]) == len(condensed.labels_N)
    if condensed.collages is not None:
        pixels = splits["stored"].with_format("numpy")["pixels"][:]
        assert np.asarray(pixels, np.float32).tobytes() == condensed.collages.images_NCHW.tobytes()


def test_the_webdataset_reader_of_the_hubs_library_skips_the_card(
    condensed: CondensedSet, written: Path, hub: Any
) -> None:
    rows = hub.load_dataset("webdataset", data_files="condensed-webdataset.tar", split="train")
    assert rows.column_names == ["png", "cls", "npy", "__key__", "__url__"]
    assert rows["cls"][:] == condensed.labels_N.tolist()


def test_shards_join_in_order(make: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Any) -> None:
    condensed = make()
    row_bytes = condensed.images_NCHW[0].nbytes * 5 // 4
    monkeypatch.setattr(parquet, "SHARD_BYTES", 7 * row_bytes)
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 2 * row_bytes)
    parquet.write(condensed, tmp_path / "set.zip")
    with ZipFile(tmp_path / "set.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "set")
    assert sorted(file.name for file in (tmp_path / "set" / "data").iterdir()) == [
        f"train-{n:05d}-of-00003.parquet" for n in range(3)
    ]
    rows = hub.load_dataset(str(tmp_path / "set"), split="train").with_format("numpy")
    assert rows["pixels"][:].tobytes() == condensed.images_NCHW.tobytes()
    found = parquet.read(tmp_path / "set.zip")
    assert found.images_NCHW.tobytes() == condensed.images_NCHW.tobytes()
    assert found.labels_N.tolist() == condensed.labels_N.tolist()
