"""WebDataset tars to the canonical form: one, or many in another archive."""

import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
import zstandard

from core.data.canonical.canonical_set import CanonicalSet
from core.data.limits import Limits

from .builders import Files, encode, folder, make_tar, make_zip, pixels, refused, run

NAMES = "Ätna / süd\n猫\n"


def samples(count: int = 4, seed: int = 0, prefix: str = "") -> Files:
    files: Files = {}
    for i, image in enumerate(pixels(count, seed=seed)):
        files[f"{prefix}{i:04}.png"] = encode(image)
        files[f"{prefix}{i:04}.cls"] = str(i % 2).encode()
    return files


def tar(files: Files) -> bytes:
    buffer = io.BytesIO()
    with webdataset.TarWriter(buffer) as writer:
        for key in dict.fromkeys(name.partition(".")[0] for name in files):
            parts = {n.partition(".")[2]: data for n, data in files.items() if n.partition(".")[0] == key}
            writer.write({"__key__": key, **parts})
    return buffer.getvalue()


def bare(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_what_the_webdataset_library_writes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    every = pixels(40)
    with webdataset.TarWriter(buffer, encoder=True) as writer:
        for i, image in enumerate(every):
            writer.write(
                {"__key__": f"sample{i:06}", "png": image, "cls": i % 2, "seg.png": image, "json": {}}
            )
    manifest = run(bare(tmp_path / "up", buffer.getvalue()), tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("webdataset", ("0", "1"))
    assert (manifest.splits["train"].per_class, manifest.splits["test"].per_class) == ((17, 17), (3, 3))
    assert manifest.report["skipped"]["total"] == 0
    opened = CanonicalSet.open(tmp_path / "out")
    both = np.concatenate([opened.train.images_NHWC, opened.test.images_NHWC])
    assert sorted(map(bytes, both)) == sorted(map(bytes, every))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstandard.compress])
@pytest.mark.parametrize("container", ["stored", "deflated", "tar", "tar.gz", "folder"])
@pytest.mark.parametrize("layout", ["{0}-{1:06}.tar", "{0}/{1:05}.tar"])
def test_shards(tmp_path: Path, pack: Any, container: str, layout: str) -> None:
    suffix = {bytes: "", gzip.compress: ".gz", lzma.compress: ".xz", zstandard.compress: ".zst"}[pack]
    parts = {("train", 0): samples(4), ("train", 1): samples(4, seed=1), ("val", 0): samples(2, seed=2)}
    files = {layout.format(*key) + suffix: pack(tar(part)) for key, part in parts.items()}
    files["classes.txt"] = NAMES.encode()
    files["README.md"] = b"# set"
    up = tmp_path / "up"
    if container == "folder":
        for name, data in files.items():
            (up / name).parent.mkdir(parents=True, exist_ok=True)
            (up / name).write_bytes(data)
    elif container.startswith("tar"):
        make_tar(up, files, "w:gz" if container == "tar.gz" else "w")
    else:
        make_zip(up, files, zipfile.ZIP_STORED if container == "stored" else zipfile.ZIP_DEFLATED)
    manifest = run(up, tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert manifest.classes == ("Ätna / süd", "猫")
    np.testing.assert_array_equal(opened.train.images_NHWC, np.concatenate([pixels(4), pixels(4, seed=1)]))
    np.testing.assert_array_equal(opened.test.images_NHWC, pixels(2, seed=2))
    assert opened.train.labels_N.tolist() == [0, 1] * 4
    assert manifest.report["skipped"]["by_reason"] == {"not a tar shard": 1}


def relabelled(part: str, labels: list[bytes]) -> Files:
    return {
        name.replace("cls", part): data if name.endswith("png") else labels[int(name[:4])]
        for name, data in samples(len(labels)).items()
    }


@pytest.mark.parametrize("field", ["label", "class", "cls", "category"])
def test_json_labels(tmp_path: Path, field: str) -> None:
    for values, classes in ((["猫", "a b"] * 2, ("a b", "猫")), ([10, 9] * 2, ("9", "10"))):
        labels = [json.dumps({field: value, "caption": "x"}).encode() for value in values]
        manifest = run(make_tar(tmp_path / "up", relabelled("json", labels)), tmp_path / f"out{values[0]}")
        assert (manifest.source_format, manifest.classes) == ("webdataset", classes)


def test_text_labels_and_class_names_inside(tmp_path: Path) -> None:
    files = relabelled("txt", [b"dog\n", "Kätzchen".encode()] * 2)
    assert run(make_tar(tmp_path / "up", files), tmp_path / "a").classes == ("Kätzchen", "dog")
    files["classnames.txt"] = "dog\nKätzchen\n".encode()
    assert run(make_tar(tmp_path / "up", files), tmp_path / "b").classes == ("dog", "Kätzchen")


def test_skipped_samples_and_folders_as_splits(tmp_path: Path) -> None:
    files = {**samples(4, prefix="train/"), **samples(2, prefix="test/", seed=1)}
    grey = encode(pixels(1, channels=1)[0])
    more = {
        "train/a.png": grey,
        "train/b.cls": b"1",
        "train/c.png": grey,
        "train/c.jpg": grey,
        "train/c.cls": b"1",
        "train/d.png": b"no image",
        "train/d.cls": b"1",
        "extra/e.png": grey,
        "extra/e.cls": b"1",
        "train/.hidden": b"",
    }
    manifest = run(make_tar(tmp_path / "up", {**files, **more}), tmp_path / "out")
    np.testing.assert_array_equal(CanonicalSet.open(tmp_path / "out").test.images_NHWC, pixels(2, seed=1))
    assert manifest.splits["train"].per_class == (2, 2)
    assert manifest.report["skipped"]["by_reason"] == {
        "no cls label in the sample": 1,
        "no image in the sample": 1,
        "several images in one sample": 1,
        "not an image of a supported format": 1,
        "in no train, val or test split": 1,
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"0000.cls": b"1.5"}, "corrupt_label"),
        ({"0000.cls": b""}, "corrupt_label"),
        ({"0000.cls": b"\xff"}, "corrupt_label"),
        ({"0000.cls": b"1" * 65}, "limit_exceeded"),
        ({"classes.txt": b"only one"}, "label_mismatch"),
        ({"classes.txt": b"a\na"}, "label_mismatch"),
        ({"classes.txt": b"a\nb\0"}, "unsafe_class_name"),
        ({"classes.txt": b"a\nb", "x/classes.txt": b"b\na"}, "ambiguous_members"),
    ],
)
def test_labels_that_do_not_serve(tmp_path: Path, change: Files, code: str) -> None:
    assert refused(make_tar(tmp_path / "up", {**samples(), **change})).code == code


def test_json_and_text_labels_that_do_not_serve(tmp_path: Path) -> None:
    good = b'{"label": 1}'
    for label in (b"{", b"[1]", b'{"label": [1]}', b'{"label": true}', b"{}", b"[" * 100_000):
        error = refused(make_tar(tmp_path / "up", relabelled("json", [good, good, good, label])))
        assert (error.code, error.context["member"]) == ("corrupt_label", "0003.json")
    for text in (b"two\nlines", b" ", b"\xff"):
        error = refused(make_tar(tmp_path / "up", relabelled("txt", [b"a", b"b", b"a", text])))
        assert (error.code, error.context["member"]) == ("corrupt_label", "0003.txt")


def test_class_folders_with_captions_stay_class_folders(tmp_path: Path) -> None:
    files = folder()
    for name in list(files):
        files[name.replace("png", "txt")] = b"a photo"
        files[name.replace("png", "json")] = b'{"label": "x"}'
    files["broken.json"] = b"{"
    assert run(make_tar(tmp_path / "up", files), tmp_path / "a").source_format == "imagefolder"
    files = {**folder(), "old.tar": tar(samples())}
    assert run(make_zip(tmp_path / "up", files), tmp_path / "b").source_format == "imagefolder"


def test_archives_in_a_shard_stay_closed(tmp_path: Path) -> None:
    inner = tar(samples())
    files = {"train.tar": make_bytes({"a.tar": inner, "b.tar": inner})}
    assert refused(make_zip(tmp_path / "up", files)).code == "no_images"
    files = {"train.tar": make_bytes({**samples(), "more.tar": inner})}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert sum(split.count for split in manifest.splits.values()) == 4
    assert manifest.report["skipped"]["by_reason"] == {"an archive in a shard, not opened": 1}


def make_bytes(files: Files) -> bytes:
    from tarfile import TarInfo, open

    buffer = io.BytesIO()
    with open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_hostile_shards(tmp_path: Path) -> None:
    good, bomb = tar(samples()), gzip.compress(bytes(2**25))
    text = gzip.compress(b"text " * 900)
    for name, data, code in (
        ("1.tar", good.rstrip(b"\0")[:-600], "truncated_archive"),
        ("1.tar.gz", gzip.compress(good)[:-30], "truncated_archive"),
        ("1.tar.gz", bomb, "limit_exceeded"),
        ("1.tar.gz", text, "unrecognised_format"),
        ("1.tar", make_bytes({"../x.png": b""}), "unsafe_member_name"),
        ("1.tar", make_bytes({"a.png": b"", "A.png": b""}), "duplicate_member"),
    ):
        error = refused(make_zip(tmp_path / "up", {"0.tar": good, name: data}))
        assert error.code == code, name
        if code not in ("duplicate_member",):
            assert error.context["shard"] == name
    path = make_zip(tmp_path / "up", {"0.tar": good, "1.tar": good})
    assert refused(path, Limits(members=15)).context["limit_name"] == "members"
    assert refused(path, Limits(images=7)).context["limit_name"] == "images"
    assert refused(path, Limits(classes=1)).context["limit_name"] == "classes"
