"""What is exported as images can be uploaded again: the same 8-bit pixels, under the same names."""

from pathlib import Path

import numpy as np
import pytest

from core.data.canonical.canonical_set import CanonicalSet
from core.data.ingest import ingest
from core.data.limits import Limits
from core.export import parquet, png, webdataset

from .conftest import EMPTY, NAMES, build

WRITERS = {"parquet": parquet.write, "png": png.write, "webdataset": webdataset.write}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_export_is_a_data_set(tmp_path: Path, format: str, channels: int) -> None:
    condensed = build(channels=channels, height=16, width=16, ipc=7)
    WRITERS[format](condensed, tmp_path / "file")
    out = tmp_path / "canonical"
    manifest = ingest(tmp_path / "file", out, limits=Limits(), channels=channels)
    canonical = CanonicalSet.open(out)
    found = {
        (manifest.classes[label], image.tobytes())
        for split in (canonical.train, canonical.test)
        for image, label in zip(split.images_NHWC, split.labels_N, strict=True)
    }
    if format == "parquet":
        known_as = dict(enumerate(NAMES))
    elif format == "png":
        # Names begin with the label there, so that their order is that of the labels.
        known_as = {int(name.partition("_")[0]): name for name in manifest.classes}
    else:
        known_as = {label: str(label) for label in range(len(NAMES))}
    pixels = condensed.pixels_uint8_NHWC()
    expected = {
        (known_as[label], image.tobytes())
        for image, label in zip(pixels, condensed.labels_N.tolist(), strict=True)
    }
    assert found == expected
    assert len(manifest.classes) == len(NAMES) - 1 and known_as.get(EMPTY) not in manifest.classes
    assert np.unique(condensed.labels_N).size == len(manifest.classes)
