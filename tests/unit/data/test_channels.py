"""How many channels a canonical set has, and what is done to the pixels for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical.canonical_set import CanonicalSet, Manifest
from core.data.canonical.preview import draw_preview
from core.data.ingest import ingest
from core.data.limits import Limits
from core.engine.images import LabelledImages
from core.errors import DataError, InvalidRequest

from .builders import Files, encode, make_zip, npy, pixels, refused, run


def arrays(images: NDArray[np.uint8]) -> Files:
    labels = npy(np.arange(len(images)) % 2)
    return {"x.npy": npy(images), "y.npy": labels, "x_val.npy": npy(images), "y_val.npy": labels}


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R 601-2 in Pillow's 16-bit fixed point."""
    weighted = rgb.astype(np.int64) @ np.array([19595, 38470, 7471])
    levels: NDArray[np.uint8] = ((weighted + 0x8000) >> 16).astype(np.uint8)[..., None]
    return levels


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


GREY, COLOUR, FOUR = pixels(8, 16, 1), pixels(8, 16, 3), pixels(8, 16, 4)
OPAQUE = np.full((8, 16, 16, 1), 255, np.uint8)
ARRAYS: dict[tuple[int, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {
    (1, 1): (GREY, GREY),
    (1, 3): (GREY, GREY.repeat(3, -1)),
    (1, 4): (GREY, np.concatenate([GREY.repeat(3, -1), OPAQUE], -1)),
    (3, 1): (COLOUR, luma(COLOUR)),
    (3, 3): (COLOUR, COLOUR),
    (3, 4): (COLOUR, np.concatenate([COLOUR, OPAQUE], -1)),
    (4, 1): (FOUR, luma(over_white(FOUR))),
    (4, 3): (FOUR, over_white(FOUR)),
    (4, 4): (FOUR, FOUR),
}


@pytest.mark.parametrize(("native", "asked"), ARRAYS)
def test_arrays(tmp_path: Path, native: int, asked: int) -> None:
    images, expected = ARRAYS[native, asked]
    source = make_zip(tmp_path / "up", arrays(images))
    manifest = run(source, tmp_path / "out", channels=asked)
    found = CanonicalSet.open(tmp_path / "out").train.images_NHWC
    assert found.shape[-1] == manifest.channels == asked
    np.testing.assert_array_equal(found, expected)
    assert manifest.conversion["origin"] == "requested"
    unasked = run(source, tmp_path / "native")
    assert (unasked.channels, unasked.conversion["origin"]) == (native, "native")
    assert (unasked.content_hash == manifest.content_hash) is (native == asked)


def test_a_fourth_channel_of_arrays_is_resampled_for_itself(tmp_path: Path) -> None:
    """It may be infrared: where it is 0, the other three are still there."""
    images = pixels(8, 32, 4)
    images[..., 3] = 0
    images[:, :, 16:, 3] = 255
    run(make_zip(tmp_path / "up", arrays(images)), tmp_path / "out", image_size=16)
    found = CanonicalSet.open(tmp_path / "out").train.images_NHWC
    opened = [
        np.asarray(Image.fromarray(i).resize((16, 16), Image.Resampling.LANCZOS)) for i in images[..., :3]
    ]
    np.testing.assert_array_equal(found[..., :3], opened)


def test_image_files(tmp_path: Path) -> None:
    clear = FOUR[0].copy()
    clear[0, 0, 3] = 0
    files = {
        "train/a/0.png": encode(clear),
        "train/b/0.png": encode(GREY[0]),
        "train/c/0.png": encode(COLOUR[0]),
    }
    source = make_zip(tmp_path / "up", files)
    expected = {
        1: [luma(over_white(clear)), GREY[0], luma(COLOUR[0])],
        3: [over_white(clear), GREY[0].repeat(3, -1), COLOUR[0]],
        4: [
            clear,
            np.concatenate([GREY[0].repeat(3, -1), OPAQUE[0]], -1),
            np.concatenate([COLOUR[0], OPAQUE[0]], -1),
        ],
    }
    for channels, images in expected.items():
        run(source, tmp_path / f"out{channels}", channels=channels)
        found = CanonicalSet.open(tmp_path / f"out{channels}").train.images_NHWC
        np.testing.assert_array_equal(found, np.stack(images))
    assert run(source, tmp_path / "native").channels == 3


def test_opacity_that_never_changes_can_be_normalised(tmp_path: Path) -> None:
    manifest = run(make_zip(tmp_path / "up", arrays(COLOUR)), tmp_path / "out", channels=4)
    assert (manifest.mean[3], manifest.std[3]) == (1.0, 1.0)
    train = CanonicalSet.open(tmp_path / "out").train
    images = LabelledImages(
        images_NHWC=train.images_NHWC,
        labels_N=train.labels_N,
        mean=manifest.mean,
        std=manifest.std,
        num_classes=2,
    )
    normalised = images.normalised(images.indices_by_class[0], "cpu")
    assert (normalised[:, 3] == 0).all()
    assert normalised.isfinite().all()
    assert normalised[:, :3].std() > 0.5


def test_a_set_of_one_colour_is_refused(tmp_path: Path) -> None:
    error = refused(make_zip(tmp_path / "up", arrays(np.full((8, 16, 16, 3), 7, np.uint8))))
    assert (error.code, "7, 7, 7" in error.detail) == ("constant_images", True)


def test_preview_of_four_channels_is_drawn_over_white() -> None:
    image = np.zeros((1, 48, 48, 4), np.uint8)
    image[:, :24, :, 3] = 255
    picture = draw_preview(image, np.zeros(1, np.int64), classes=1)
    assert picture.mode == "RGB"
    assert (picture.getpixel((20, 10)), picture.getpixel((20, 40))) == ((0, 0, 0), (255, 255, 255))


def test_only_1_3_and_4(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "up", arrays(GREY))
    for channels in (0, 2, 5):
        with pytest.raises(InvalidRequest, match="1, 3 or 4"):
            ingest(source, tmp_path / "out", limits=Limits(), channels=channels)
    assert [entry.name for entry in tmp_path.iterdir()] == ["up"]


def test_manifests_of_before_stay_readable(tmp_path: Path) -> None:
    manifest = run(make_zip(tmp_path / "up", arrays(GREY)), tmp_path / "out")
    text = manifest.to_json()
    before = text.replace('"conversion"', '"other"')
    with pytest.raises(DataError):
        Manifest.from_json(before)
    content = json.loads(text)
    del content["conversion"]
    assert Manifest.from_json(json.dumps(content)).conversion == {}
