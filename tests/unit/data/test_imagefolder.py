"""Image folders to the canonical form: splits, order, decoding, sizes, and the report."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.canonical.canonical_set import CanonicalSet, Manifest
from core.data.ingest import ingest
from core.data.limits import Limits
from core.errors import DataError, InvalidRequest

from .builders import (
    encode,
    folder,
    make_tar,
    make_zip,
    npy,
    pixels,
    refused,
    run,
)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
@pytest.mark.parametrize("top", ["", "set/", "a/b/"])
def test_imagefolder_with_splits(tmp_path: Path, mode: str, top: str) -> None:
    train, val = folder(prefix=f"{top}Train/"), folder(each=2, prefix=f"{top}valid/", seed=1)
    noise = {f"{top}.DS_Store": b"x", f"__MACOSX/{top}x": b"y", f"{top}Train/cat/Thumbs.db": b"z"}
    files = {**train, **val, **noise}
    up = tmp_path / "up"
    source = make_zip(up, files) if mode == "zip" else make_tar(up, files, mode)
    manifest = run(source, tmp_path / "out")
    assert manifest.classes == ("cat", "dog")
    assert manifest.splits["train"].per_class == (3, 3)
    assert manifest.splits["test"].per_class == (2, 2)
    assert manifest.report["skipped"]["total"] == 0
    opened = CanonicalSet.open(tmp_path / "out")
    assert opened.manifest == manifest
    assert isinstance(opened.train.images_NHWC, np.memmap)
    np.testing.assert_array_equal(opened.train.images_NHWC, pixels(6))
    np.testing.assert_array_equal(opened.test.images_NHWC, pixels(4, seed=1))
    assert opened.train.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    scaled = pixels(6) / 255
    np.testing.assert_allclose(manifest.mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(manifest.std, scaled.std((0, 1, 2)), rtol=1e-12)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "preview.png",
        "test.images.npy",
        "test.labels.npy",
        "train.images.npy",
        "train.labels.npy",
    ]


def test_train_val_and_test_leave_val_out(tmp_path: Path) -> None:
    files = {
        **folder(prefix="train/"),
        **folder(prefix="val/", seed=1),
        **folder(prefix="test/", each=1, seed=2),
    }
    files["test/snake/0.png"] = encode(pixels(1)[0])
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert manifest.classes == ("cat", "dog")
    assert manifest.splits["test"].per_class == (1, 1)
    assert sorted(manifest.report["left_out"].values()) == [1, 6]


def test_hash_ignores_container_and_member_order(tmp_path: Path) -> None:
    files = list(folder(each=9).items())
    hashes = set()
    for i in range(3):
        random.Random(i).shuffle(files)
        hashes.add(run(make_zip(tmp_path / f"z{i}", dict(files)), tmp_path / f"zo{i}").content_hash)
        hashes.add(run(make_tar(tmp_path / f"t{i}", dict(files), "w:gz"), tmp_path / f"to{i}").content_hash)
    assert len(hashes) == 1
    name, _ = files[0]
    other = dict(files) | {name: encode(pixels(1, seed=9)[0])}
    assert run(make_zip(tmp_path / "other", other), tmp_path / "oo").content_hash not in hashes


def test_held_out_split_is_stratified_and_tiny_classes_keep_a_training_image(tmp_path: Path) -> None:
    files = {**folder(("a",), 40), **folder(("b",), 2, seed=1), **folder(("c",), 1, seed=2)}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert manifest.splits["train"].per_class == (34, 1, 1)
    assert manifest.splits["test"].per_class == (6, 1, 0)
    assert manifest.report["imbalance_ratio"] == 34
    duplicates = manifest.report["duplicates"]
    assert (duplicates["train"], duplicates["test"], duplicates["test_also_in_train"]) == (0, 0, 0)


def test_one_image_a_class_gives_an_empty_test_split_that_opens(tmp_path: Path) -> None:
    run(make_zip(tmp_path / "up", folder(each=1)), tmp_path / "out")
    assert CanonicalSet.open(tmp_path / "out").test.images_NHWC.shape == (0, 16, 16, 3)


def test_a_file_with_the_name_of_the_folder_that_holds_the_rest_is_left_out(tmp_path: Path) -> None:
    for name in ("set", "set/train"):
        files = {**folder(prefix="set/train/"), name: encode(pixels(1)[0])}
        manifest = run(make_tar(tmp_path / "up", files), tmp_path / f"out{len(name)}")
        assert manifest.classes == ("cat", "dog")
        assert manifest.report["skipped"]["by_reason"] == {"not in a class folder": 1}


def test_names_with_spaces_and_of_any_script(tmp_path: Path) -> None:
    names = ("big cat", "\u732b", "\u0441\u043e\u0431\u0430\u043a\u0430")
    assert set(run(make_zip(tmp_path / "z", folder(names)), tmp_path / "zo").classes) == set(names)
    assert set(run(make_tar(tmp_path / "t", folder(names)), tmp_path / "to").classes) == set(names)
    text = (tmp_path / "zo" / "manifest.json").read_text("utf-8")
    assert set(Manifest.from_json(text).classes) == set(names)


def test_bad_files_are_skipped_with_reasons_and_duplicates_are_counted(tmp_path: Path) -> None:
    files = {**folder(prefix="train/", each=4), **folder(prefix="test/", each=1, seed=3)}
    good = files["train/cat/0.png"]
    files |= {"train/cat/notes.txt": b"text", "train/dog/cut.png": good[:-30], "train/loose.png": good}
    files |= {"train/dog/same.png": good, "test/cat/same.png": good}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert manifest.splits["train"].per_class == (4, 5)
    assert manifest.report["skipped"]["by_reason"] == {
        "not an image of a supported format": 1,
        "corrupt or truncated image": 1,
        "not in a class folder": 1,
    }
    duplicates = manifest.report["duplicates"]
    assert (duplicates["train"], duplicates["test"], duplicates["test_also_in_train"]) == (1, 0, 1)


def test_every_pixel_mode_and_format(tmp_path: Path) -> None:
    grey = Image.fromarray(pixels(1, 20, 1)[0, ..., 0])
    colour = Image.fromarray(pixels(1, 20)[0])
    deep = Image.fromarray((np.arange(400, dtype=np.uint16) * 160).reshape(20, 20))
    clear = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    images = {
        "grey": (grey, "PNG"),
        "bit": (grey.convert("1"), "PNG"),
        "deep": (deep, "PNG"),
        "la": (grey.convert("LA"), "PNG"),
        "palette": (colour.convert("P"), "GIF"),
        "rgba": (clear, "PNG"),
        "cmyk": (colour.convert("CMYK"), "JPEG"),
        "webp": (colour, "WEBP"),
        "bmp": (colour, "BMP"),
        "tiff": (colour, "TIFF"),
    }
    files = {}
    for name, (image, kind) in images.items():
        buffer = io.BytesIO()
        image.save(buffer, kind)
        files[f"train/{name}/x"] = buffer.getvalue()
    run(make_zip(tmp_path / "up", files), tmp_path / "out", image_size=20)
    opened = CanonicalSet.open(tmp_path / "out")
    of = dict(zip(opened.manifest.classes, opened.train.images_NHWC, strict=True))
    assert len(of) == len(images)
    np.testing.assert_array_equal(of["grey"][..., 1], np.asarray(grey))
    np.testing.assert_array_equal(of["la"][..., 2], np.asarray(grey))
    np.testing.assert_array_equal(of["deep"][..., 0], np.asarray(deep) >> 8)
    np.testing.assert_array_equal(of["bmp"], np.asarray(colour))
    assert of["rgba"].min() == 255
    assert set(np.unique(of["bit"])) == {0, 255}


def test_grey_folder_has_one_channel_and_orientation_is_applied(tmp_path: Path) -> None:
    image = np.zeros((24, 24, 1), np.uint8)
    image[:12] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, "PNG", exif=exif)
    files = {"train/a/x.png": buffer.getvalue(), "train/b/x.png": encode(image)}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert (manifest.channels, manifest.image_size, manifest.resize["origin"]) == (1, 24, "native")
    turned, plain = CanonicalSet.open(tmp_path / "out").train.images_NHWC[..., 0]
    np.testing.assert_array_equal(plain, image[..., 0])
    np.testing.assert_array_equal(turned, np.rot90(image[..., 0], -1))


@pytest.mark.parametrize(
    ("side", "asked", "size"), [(8, None, 16), (50, 32, 32), (300, None, 64), (16, 48, 48)]
)
def test_sizes(tmp_path: Path, side: int, asked: int | None, size: int) -> None:
    manifest = run(make_zip(tmp_path / "up", folder(size=side)), tmp_path / "out", image_size=asked)
    assert manifest.image_size == size
    assert manifest.resize["origin"] == ("requested" if asked else "suggested")
    for wrong in (15, 257):
        with pytest.raises(InvalidRequest, match="16 to 256"):
            run(tmp_path / "up", tmp_path / "wrong", image_size=wrong)


def test_wide_image_is_cropped_at_its_centre(tmp_path: Path) -> None:
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, 16:32] = 255
    files = {"train/a/0.png": encode(image), "train/b/0.png": encode(image // 5 * 4)}
    run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert CanonicalSet.open(tmp_path / "out").train.images_NHWC.min() == 204


def test_one_class_and_too_many_classes(tmp_path: Path) -> None:
    assert refused(make_zip(tmp_path / "up", folder(("cat",)))).code == "too_few_classes"
    error = refused(make_zip(tmp_path / "up", folder(("a", "b", "c"))), Limits(classes=2))
    assert error.context["limit_name"] == "classes"


def test_progress_runs_to_the_total_and_its_error_cleans_up(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "up", folder())
    calls: list[tuple[int, int | None]] = []
    ingest(source, tmp_path / "a", limits=Limits(), progress=lambda done, total: calls.append((done, total)))
    assert (calls[0], calls[-1]) == ((0, None), (6, 6))

    def stop(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(source, tmp_path / "b", limits=Limits(), progress=stop)
    assert not (tmp_path / "b").exists()
    with pytest.raises(FileExistsError):
        ingest(source, tmp_path / "a", limits=Limits())
    CanonicalSet.open(tmp_path / "a")


def test_damaged_canonical_set(tmp_path: Path) -> None:
    run(make_zip(tmp_path / "up", folder()), tmp_path / "out")
    (tmp_path / "out" / "train.images.npy").write_bytes(npy(pixels(1)))
    with pytest.raises(DataError, match="agree"):
        CanonicalSet.open(tmp_path / "out")
