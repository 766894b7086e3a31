"""The public data sets, unmodified, read as an upload of them would be."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from core.data.canonical.canonical_set import MANIFEST_FILE, CanonicalSet, Split
from core.data.ingest import ingest
from core.data.limits import Limits
from core.engine.images import LabelledImages
from core.engine.sampling import sample
from core.engine.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Published:
    """`files` are relative to the folder of data sets; mean and std those that published figures use.

    image_size: px a side, where the files' own is another.
    """

    files: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None = None


_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


DATASETS: Mapping[str, Published] = {
    "fashion-mnist": Published(
        files=(
            "FashionMNIST/train-images-idx3-ubyte.gz",
            "FashionMNIST/train-labels-idx1-ubyte.gz",
            "FashionMNIST/t10k-images-idx3-ubyte.gz",
            "FashionMNIST/t10k-labels-idx1-ubyte.gz",
        ),
        mean=(0.2861,),
        std=(0.3530,),
    ),
    "cifar-10": Published(
        files=("cifar-10-python.tar.xz",), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
    ),
    **{
        f"imagenette-{size}": Published(files=("imagenette224-mini.zip",), image_size=size, **_IMAGENET)
        for size in (64, 128)
    },
}


VALIDATION_PER_CLASS = 500
"""Training images of each class that settings are chosen on, and that no set is made of."""


@dataclass(frozen=True, kw_only=True)
class RealSet:
    """`content_hash` is that of the canonical form: over classes, images and labels."""

    train: LabelledImages
    test: LabelledImages
    content_hash: str

    def validation(self) -> "RealSet":
        """Nothing of the test split: some training images to test on instead, the others to train on."""
        chance = generator(0, 0, "validation split")
        count = min(VALIDATION_PER_CLASS, min(map(len, self.train.indices_by_class)) // 2)
        chosen = [sample(indices, count, chance) for indices in self.train.indices_by_class]
        held_out_N = torch.zeros(len(self.train), dtype=torch.bool)
        held_out_N[torch.cat(chosen)] = True
        train, test = (_part(self.train, which_N) for which_N in (~held_out_N, held_out_N))
        return replace(self, train=train, test=test)


def _part(images: LabelledImages, which_N: Tensor) -> LabelledImages:
    indices = which_N.nonzero().squeeze(1)
    pixels = np.asarray(images.images_NHWC[indices.numpy()])
    return replace(images, images_NHWC=pixels, labels_N=torch.as_tensor(images.labels_N)[indices])


def load(name: str, data: Path, state: Path) -> RealSet:
    """The set's own train and test splits, memory-mapped; the canonical form is kept under `state`.

    Raises:
        FileNotFoundError: a file of the set is not in `data`.
        DataError: a file that cannot be read.
    """
    published = DATASETS[name]
    files = [data / file for file in published.files]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise FileNotFoundError(f"{name}: not found: {', '.join(absent)}")
    canonical = state / "data" / f"{name}-{_digest(files)}"
    if not (canonical / MANIFEST_FILE).exists():
        canonical.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=state) as scratch:
            source = _upload(files, Path(scratch))
            ingest(source, canonical, limits=Limits(), image_size=published.image_size)
    found = CanonicalSet.open(canonical)

    def labelled(split: Split) -> LabelledImages:
        return LabelledImages(
            split.images_NHWC, split.labels_N, published.mean, published.std, len(found.manifest.classes)
        )

    return RealSet(
        train=labelled(found.train), test=labelled(found.test), content_hash=found.manifest.content_hash
    )


def _upload(files: list[Path], scratch: Path) -> Path:
    """One file: an archive as it is, loose files in a zip."""
    if len(files) == 1:
        return files[0]
    archive = scratch / "upload.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for file in files:
            target.write(file, file.name)
    return archive


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
