"""The containers of a set: whichever it lies in, the same set; and what is wrong with one is said."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from core.data.containers.archive import Archive
from core.data.containers.folder import open_folder
from core.data.containers.inflate import ZSTD_WINDOW_BYTES, unzstd
from core.data.containers.opening import open_source
from core.data.limits import MIB, Limits
from core.errors import DataError

from .builders import Files, encode, folder, make_folder, make_tar, make_zip, pixels, refused, run

SKIPPABLE = struct.pack("<II", 0x184D2A53, 5) + b"aside"


def make_zst(path: Path, files: Files) -> Path:
    data = make_tar(path, files).read_bytes()
    half = len(data) // 2
    compress = zstandard.ZstdCompressor().compress
    path.write_bytes(SKIPPABLE + compress(data[:half]) + SKIPPABLE + compress(data[half:]))
    return path


MAKERS: dict[str, Callable[[Path, Files], Path]] = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.zst": make_zst,
    "folder": make_folder,
}


def test_the_same_set_in_every_container(tmp_path: Path) -> None:
    files = {**folder(prefix="set/train/", each=5), **folder(prefix="set/val/", seed=1)}
    # As a Mac writes it: e and a combining accent; an archive of another tool has the one character.
    decomposed, composed = "set/train/cafe\u0301/0.png", "set/train/caf\u00e9/0.png"
    image = encode(pixels(1, seed=2)[0])
    hashes = set()
    for i, (name, make) in enumerate(MAKERS.items()):
        source = make(tmp_path / f"up{i}", {**files, decomposed if i % 2 else composed: image})
        with open_source(source, tmp_path, Limits()) as archive:
            assert archive.container == name
            assert {archive.read(member) for member in archive.members} == {*files.values(), image}
        manifest = run(source, tmp_path / f"out{i}")
        assert "caf\u00e9" in manifest.classes
        hashes.add(manifest.content_hash)
    assert len(hashes) == 1


def expanded(data: bytes, step: int) -> bytes:
    return b"".join(unzstd([data[i : i + step] for i in range(0, len(data), step)], "x"))


@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_zstandard_of_several_frames(step: int) -> None:
    compress = zstandard.ZstdCompressor().compress
    one, two = compress(b"one" * 999), compress(b"two")
    assert expanded(one + two, step) == b"one" * 999 + b"two"
    assert expanded(SKIPPABLE + one + SKIPPABLE + two + SKIPPABLE, step) == b"one" * 999 + b"two"
    for data, code in [
        (one[:-1], "truncated_archive"),
        (one + SKIPPABLE[:-2], "truncated_archive"),
        (one + two[:3], "truncated_archive"),
        (one + b"garbage", "corrupt_archive"),
        (b"", "truncated_archive"),
    ]:
        with pytest.raises(DataError) as caught:
            expanded(data, step)
        assert caught.value.code == code


def test_zstandard_bomb(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "up", {"cat/0.png": bytes(300 * MIB)})
    path.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    assert path.stat().st_size < 64 * 1024
    error = refused(path)
    assert (error.code, "ratio" in error.detail) == ("limit_exceeded", True)
    assert max(map(len, unzstd([path.read_bytes()], "x"))) <= 44 * MIB


def test_zstandard_window_over_the_limit() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(b"x") + stream.flush()
    assert zstandard.get_frame_parameters(data).window_size > ZSTD_WINDOW_BYTES
    with pytest.raises(DataError, match="--long") as caught:
        expanded(data, 1 << 20)
    assert caught.value.code == "limit_exceeded"


def test_a_bare_parquet_file_is_its_own_member(tmp_path: Path) -> None:
    content = b"PAR1" + bytes(range(256)) * 9 + b"PAR1"
    (tmp_path / "up").write_bytes(content)
    with open_source(tmp_path / "up", tmp_path, Limits()) as archive:
        (member,) = archive.members
        assert (archive.container, archive.read(member)) == ("file", content)
        with archive.open(member) as file:
            file.seek(-4, os.SEEK_END)
            assert file.read() == b"PAR1"


@pytest.mark.parametrize("make", [make_zip, make_tar, make_folder])
def test_looking_at_the_start_of_a_member_reads_little(
    tmp_path: Path, make: Callable[[Path, Files], Path]
) -> None:
    content = os.urandom(3 * MIB)
    with open_source(make(tmp_path / "up", {"a": content}), tmp_path, Limits()) as archive:
        asked: list[int] = []
        read_at = archive._read_at

        def counting(member: object, position: int, count: int) -> bytes:
            asked.append(count)
            return read_at(member, position, count)  # type: ignore[arg-type]

        archive._read_at = counting
        assert archive.head(archive.members[0], 12) == content[:12]
        assert sum(asked) <= (4096 if make is make_zip else 12)
        assert archive.head(archive.members[0], 2 * MIB) == content[: 2 * MIB]


def put_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def put_link_to_a_folder(path: Path) -> None:
    path.symlink_to("/etc")


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [put_link, put_link_to_a_folder, put_pipe])
@pytest.mark.parametrize("place", ["x", "cat/x"])
def test_links_and_special_files_in_a_folder(tmp_path: Path, put: Callable[[Path], None], place: str) -> None:
    up = make_folder(tmp_path / "up", folder())
    put(up / place)
    error = refused(up)
    assert (error.code, error.context["member"]) == ("unsupported_member", place)


def test_names_in_a_folder(tmp_path: Path) -> None:
    up = make_folder(tmp_path / "up", folder())
    bad = os.fsencode(up) + b"/cat/\xff.png"
    descriptor = os.open(bad, os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    error = refused(up)
    assert error.code == "unsafe_member_name"
    error.context["member"].encode("utf-8")  # fit to be stored and sent
    os.unlink(bad)  # noqa: PTH108 (a path of bytes)
    for name in ("e\u0301.png", "\u00e9.png"):
        (up / "cat" / name).write_bytes(b"x")
    assert refused(up).code == "duplicate_member"


def test_limits_of_a_folder(tmp_path: Path) -> None:
    up = make_folder(tmp_path / "up", folder())
    assert refused(up, Limits(members=5)).context["limit_name"] == "members"
    assert refused(up, Limits(member_bytes=10)).context["limit_name"] == "member_bytes"
    assert refused(up, Limits(expanded_bytes=1000)).context["limit_name"] == "expanded_bytes"
    deep = up.joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    assert refused(up).context["limit_name"] == "name_depth"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        run(tmp_path / "empty", tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_parts_of_a_folder(tmp_path: Path) -> None:
    up = make_folder(tmp_path / "up", folder())
    for part in (up / "cat", up / "cat" / "0.png"):
        mode = part.stat().st_mode
        part.chmod(0)
        assert refused(up).code == "unreadable_member"
        part.chmod(mode)


@contextmanager
def opened_folder(tmp_path: Path) -> Iterator[tuple[Path, Archive]]:
    up = make_folder(tmp_path / "up", folder())
    for file in up.rglob("*.png"):
        os.utime(file, ns=(0, 0))  # the clock of file systems has steps of a few milliseconds
    with open_folder(up, tmp_path, Limits()) as archive:
        yield up, archive


def grow(cat: Path) -> None:
    with (cat / "0.png").open("ab") as file:
        file.write(b"more")


def rewrite(cat: Path) -> None:
    content = (cat / "0.png").read_bytes()
    (cat / "0.png").write_bytes(content[::-1])


def replace(cat: Path) -> None:
    (cat / "new").write_bytes((cat / "0.png").read_bytes())
    (cat / "new").replace(cat / "0.png")


def remove(cat: Path) -> None:
    (cat / "0.png").unlink()


def link(cat: Path) -> None:
    (cat / "0.png").unlink()
    (cat / "0.png").symlink_to("/etc/passwd")


def link_the_folder(cat: Path) -> None:
    """To a folder of files with the same names and sizes."""
    elsewhere = cat.parent.parent / "elsewhere"
    make_folder(elsewhere, {path.name: path.read_bytes() for path in cat.iterdir()})
    cat.rename(cat.parent / "old")
    cat.symlink_to(elsewhere)


def pipe(cat: Path) -> None:
    (cat / "0.png").unlink()
    os.mkfifo(cat / "0.png")


@pytest.mark.parametrize("change", [grow, rewrite, replace, remove, link, link_the_folder, pipe])
def test_a_file_of_a_folder_that_changes_is_never_read(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with opened_folder(tmp_path) as (up, archive):
        first = archive.members[0]
        assert first.name == "cat/0.png"
        archive.read(first)
        change(up / "cat")
        for read in (archive.read, lambda member: archive.head(member, 12)):
            with pytest.raises(DataError, match=r"cat/0\.png.*changed") as caught:
                read(first)
            assert caught.value.code == "source_changed"


@pytest.mark.parametrize("make", [make_zip, make_tar, make_zst])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, make: Callable[[Path, Files], Path]) -> None:
    source = make(tmp_path / "up", folder())

    def read() -> None:
        with open_source(source, tmp_path, Limits()) as archive:
            with source.open("r+b") as file:
                file.truncate(100)
            for member in archive.members:
                archive.read(member)

    with pytest.raises(DataError, match="'up' was changed") as caught:
        read()
    assert caught.value.code == "source_changed"
