"""Uploads made to harm: each is refused by its code, and nothing is left behind or outside."""

import gzip
import io
import lzma
import pickle
import stat
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.data.limits import MIB, Limits

from .builders import Files, cifar_files, encode, folder, idx_files, make_tar, make_zip, npy, pixels, refused


@pytest.fixture(autouse=True)
def temp_dir_stays_empty(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    temp = tmp_path_factory.mktemp("system-temp")
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    yield
    assert list(temp.iterdir()) == []


UNSAFE = ["../cat/x.png", "/cat/x.png", "cat/../../x.png", "cat\\x.png", "C:/cat/x.png", "cat/\n.png"]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_unsafe_names(tmp_path: Path, name: str, make: Callable[[Path, Files], Path]) -> None:
    files = {**folder(), name: encode(pixels(1)[0])}
    assert refused(make(tmp_path / "up", files)).code == "unsafe_member_name"


def test_nul_in_a_zip_name(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "up", {**folder(), "cat/evil_.png": b"x"})
    path.write_bytes(path.read_bytes().replace(b"cat/evil_.png", b"cat/evil\0.png"))
    assert refused(path).code == "unsafe_member_name"


@pytest.mark.parametrize("twice", ["CAT/0.png", "cat/./0.png", "cat//0.png"])
def test_duplicate_names(tmp_path: Path, twice: str) -> None:
    assert refused(make_zip(tmp_path / "up", {**folder(), twice: b"x"})).code == "duplicate_member"


def test_names_equal_after_unicode_normalisation(tmp_path: Path) -> None:
    files = {"e\u0301/1.png": b"x", "\u00e9/1.png": b"x"}
    assert refused(make_tar(tmp_path / "up", files)).code == "duplicate_member"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S"])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "up"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("cat/x.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert refused(path).code == "unsupported_member"


def test_symlink_and_encryption_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "up"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("cat/x.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refused(path).code == "unsupported_member"
    make_zip(path, folder())
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert refused(path).code == "unsupported_member"


def test_bomb_by_ratio(tmp_path: Path) -> None:
    files = {**folder(), "cat/z.png": encode(pixels(1)[0]) + bytes(8 * MIB)}
    error = refused(make_zip(tmp_path / "up", files))
    assert error.code == "limit_exceeded"
    assert error.context["member"] == "cat/z.png"


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_bomb_by_ratio_in_a_compressed_tar(tmp_path: Path, mode: str) -> None:
    start = time.perf_counter()
    error = refused(make_tar(tmp_path / "up", {"cat/0.png": bytes(40 * MIB)}, mode))
    assert (error.code, "ratio" in error.detail) == ("limit_exceeded", True)
    assert time.perf_counter() - start < 20


def test_bombs_by_count_and_size(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "up", folder(each=10))
    assert refused(path, Limits(members=19)).context["value"] == 20
    assert refused(path, Limits(member_bytes=100)).code == "limit_exceeded"
    assert refused(path, Limits(expanded_bytes=1000)).context["limit_name"] == "expanded_bytes"
    assert refused(path, Limits(images=19)).context["limit_name"] == "images"
    assert refused(path, Limits(canonical_bytes=999)).context["limit_name"] == "canonical_bytes"
    assert refused(make_tar(path, folder(each=10)), Limits(members=19)).context["limit"] == 19
    assert refused(make_zip(path, {"/".join("abcdefghijklmnopqrst"): b"x"})).code == "limit_exceeded"


def test_member_that_lies_about_its_size_is_only_read_as_far_as_declared(tmp_path: Path) -> None:
    files = {"images.npy": npy(pixels(40)), "labels.npy": npy(np.arange(40) % 2)}
    path = make_zip(tmp_path / "up", files)
    data = path.read_bytes()
    true, lie = struct.pack("<L", len(files["labels.npy"])), struct.pack("<L", 140)
    path.write_bytes(data.replace(true, lie))
    error = refused(path)
    assert (error.code, "declared 140" in error.detail) == ("corrupt_member", True)
    files["labels.npy"] = npy(np.arange(40) % 2)
    data = make_zip(path, files).read_bytes()
    crc = struct.pack("<L", zlib.crc32(files["labels.npy"]))
    path.write_bytes(data.replace(crc, b"fake"))
    assert refused(path).code == "corrupt_member"


def test_members_that_share_bytes(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "up", folder())
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    assert refused(path).code == "overlapping_members"


def test_extension_header_of_a_tar_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "up"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("cat/" + "n" * 200_000))
    error = refused(path)
    assert (error.code, "extension header" in error.detail) == ("limit_exceeded", True)


def test_image_of_ten_thousand_megapixels(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", 100_000, 100_000, 1, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )
    error = refused(make_zip(tmp_path / "up", {**folder(), "cat/huge.png": png}))
    assert (error.code, error.context["member"]) == ("limit_exceeded", "cat/huge.png")
    png = encode(np.zeros((50, 50, 1), np.uint8))
    error = refused(make_zip(tmp_path / "up", {**folder(), "cat/big.png": png}), Limits(image_pixels=2499))
    assert error.context["value"] == 2500


def test_object_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "up"
    with path.open("wb") as file:
        np.savez(file, images=np.array([_Canary()], object), labels=np.arange(1))
    assert refused(path).code == "object_array"
    assert "canary" not in capsys.readouterr().out


def test_npy_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**7, 2**7)}
    np.lib.format.write_array_header_1_0(buffer, header)
    files = {"images.npy": buffer.getvalue(), "labels.npy": npy(np.arange(2))}
    assert refused(make_zip(tmp_path / "up", files)).code == "corrupt_npy"


class _Canary:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("canary sings",))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("where", ["data_batch_2", "batches.meta", "test_batch"])
def test_pickle_that_calls_is_refused_and_calls_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: int, where: str
) -> None:
    files = cifar_files(pixels(12, 32))
    files[f"cifar-10-batches-py/{where}"] = pickle.dumps({b"data": _Canary()}, protocol)
    assert refused(make_tar(tmp_path / "up", files, "w:gz")).code == "unsafe_pickle"
    assert "canary" not in capsys.readouterr().out


def test_pickle_of_an_object_array_and_of_garbage(tmp_path: Path) -> None:
    files = cifar_files(pixels(12, 32))
    for content, code in (
        (pickle.dumps({b"data": np.array([{}], object)}, 2), "unsafe_pickle"),
        (pickle.dumps({b"data": print}, 2), "unsafe_pickle"),
        (pickle.dumps({b"data": print}, 4), "unsafe_pickle"),
        (b"\x80\x02}q\x01(U\xffshort", "corrupt_pickle"),
        (b"\x80\x02r\xff\xff\xff\xff.", "corrupt_pickle"),
        (pickle.dumps([1, 2], 2), "corrupt_pickle"),
    ):
        files["cifar-10-batches-py/test_batch"] = content
        assert refused(make_tar(tmp_path / "up", files)).code == code


def test_pickle_with_too_many_instructions(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "up", cifar_files(pixels(12, 32)))
    assert refused(path, Limits(pickle_operations=10)).code == "limit_exceeded"


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.98])
def test_truncated_containers(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "up"
    for mode in ("zip", "w", "w:gz", "w:xz"):
        whole = make_zip(path, folder(each=9)) if mode == "zip" else make_tar(path, folder(each=9), mode)
        data = whole.read_bytes()
        if mode == "w":  # a tar ends in padding that may go without loss
            data = data.rstrip(b"\0")
        path.write_bytes(data[: int(len(data) * keep)])
        assert refused(path).code == "truncated_archive", mode


def test_truncated_gzip_member(tmp_path: Path) -> None:
    files = idx_files()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        cut = {**files, name: files[name][:-9]}
        assert refused(make_zip(tmp_path / "up", cut)).code in ("truncated_archive", "corrupt_archive")


@pytest.mark.parametrize(
    ("content", "code", "seen"),
    [
        (b"", "empty_file", ""),
        (b"hello, this is no data set\n" * 40, "unrecognised_format", "text"),
        (gzip.compress(b"text " * 900), "unrecognised_format", "text"),
        (lzma.compress(b""), "unrecognised_format", "nothing"),
        (npy(pixels(3)), "unrecognised_format", ".npy"),
        (encode(pixels(1)[0]), "unrecognised_format", "single image"),
        (pickle.dumps({}), "unrecognised_format", "pickle"),
        (b"PK\5\6" + bytes(18), "no_images", ""),
    ],
    # Bytes as ids would hold the time of compression, and differ between the processes of a test run.
    ids=["empty", "text", "gzip of text", "xz of nothing", "npy", "png", "pickle", "empty zip"],
)
def test_what_is_no_data_set(tmp_path: Path, content: bytes, code: str, seen: str) -> None:
    path = tmp_path / "up"
    path.write_bytes(content)
    error = refused(path)
    assert error.code == code
    assert seen in error.detail


def test_nested_archives_are_not_opened(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner", folder()).read_bytes()
    (tmp_path / "inner").unlink()
    assert (
        refused(make_zip(tmp_path / "up", {"a/1.zip": inner, "b/2.zip": inner})).code == "unrecognised_format"
    )
