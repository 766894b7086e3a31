"""A published file, or a zip or folder of such files, to the set in it: recognised by content."""

import mmap
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.condensed.published import arrays, folders, torch_files, torch_layouts
from core.condensed.published.found import Found
from core.condensed.published.layouts import FLAX, LAYOUTS, PARQUET, PICKLE, Layout
from core.condensed.published.limits import PublishedLimits
from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.containers.opening import open_source
from core.data.formats.image_files import is_noise
from core.data.formats.npy_header import MAGIC as NPY_MAGIC
from core.data.limits import check_limit
from core.data.sniff import PARQUET_MAGIC, is_image
from core.errors import DataError

SUFFIXES = (".pt", ".pth", ".npz", ".safetensors", ".pkl", ".pickle")
IMAGES = re.compile(r"((?:.*/)?(?:ema_)?)images?(_\w+)?(\.pth?)")
"""images_best.pt, images_5000.pt, ema_images_best.pt, images.pt: beside it lie its labels."""

WHITENED = re.compile(r"_zca(_|$)")
HEAD = 512


def read(path: Path, *, limits: PublishedLimits, work: Path, experiment: int | None = None) -> Found:
    """The set in a file or folder. Sizes are held against the limits before anything of that size is made.

    Args:
        work: an existing folder on disk for what has to be expanded; what is left in it may be deleted.
        experiment: which of several sets in one file; default the last, as published evaluators take it.

    Raises:
        DataError: `bare_pickle`, `layout_not_read`, `unknown_layout`, `unsafe_pickle`, `ambiguous_members`,
            `limit_exceeded`, or one of the readers' (torch_files, torch_layouts, arrays, folders) and of
            core.data.containers.
    """
    if path.is_dir():
        with _opened(path, work, limits) as archive:
            return _of_members(archive, limits, work, experiment)
    check_limit("file_bytes", path.stat().st_size, limits.file_bytes)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(torch_files.LEGACY_MAGIC):
        return torch_layouts.set_of(torch_files.load(path, limits), limits, experiment)
    # Before pickles are looked for: the length of a header may begin as one does.
    if _is_safetensors(head):
        return arrays.read_safetensors(path, limits)
    _refuse_by_content(path, head)
    with _opened(path, work, limits) as archive:
        if _is_torch_zip(archive):
            torch_files.check_structure(archive, limits)
            return torch_layouts.set_of(torch_files.load(path, limits), limits, experiment)
        if all(archive.head(one, len(NPY_MAGIC)) == NPY_MAGIC for one in archive.members):
            return arrays.read_npz(archive, limits)
        return _of_members(archive, limits, work, experiment)


def _of_members(archive: Archive, limits: PublishedLimits, work: Path, experiment: int | None) -> Found:
    members = [one for one in archive.members if not is_noise(one)]
    files = [one for one in members if one.name.lower().endswith(SUFFIXES)]
    pairs = _pairs(files)
    if len(pairs) == 1:
        return _pair(archive, *pairs[0], files, limits, work)
    if len(files) == 1:
        path = _copied(archive, files[0], work)
        if path.stat().st_size and _holds_members(path):
            raise _ambiguous("the archive holds another archive of files", files)
        return read(path, limits=limits, work=work, experiment=experiment)
    if files:
        raise _ambiguous(f"the archive holds {len(files)} files that could be the set", files)
    if any(is_image(archive.head(one, 12)) for one in members):
        return folders.read_folders(archive, limits)
    for member in members:
        if member.base_name.startswith(("checkpoint_", "ckpt_")):
            raise _not_read(FLAX)
        if archive.head(member, 4) == PARQUET_MAGIC:
            raise _not_read(PARQUET)
    raise _unknown(_names(members))


def _pairs(files: Iterable[Member]) -> list[tuple[Member, Member]]:
    """Images with the labels beside them; whitened ones turned back for the eye are no set."""
    by_name = {one.name: one for one in files}
    found = []
    for name, member in by_name.items():
        match = IMAGES.fullmatch(name)
        if match is None or (match[2] and WHITENED.search(match[2])):
            continue
        folder, kind, suffix = match[1], match[2] or "", match[3]
        labels = by_name.get(f"{folder}labels{kind}{suffix}") or by_name.get(f"{folder}label{kind}{suffix}")
        if labels is not None:
            found.append((member, labels))
    return found


def _pair(
    archive: Archive,
    images: Member,
    labels: Member,
    files: list[Member],
    limits: PublishedLimits,
    work: Path,
) -> Found:
    rest = [one for one in files if one not in (images, labels)]
    rates = [one for one in rest if one.base_name.startswith("lr") and one.name.endswith((".pt", ".pth"))]
    loaded = {
        one.base_name: _load(_copied(archive, one, work), limits, work) for one in (images, labels, *rates)
    }
    extra = {name: loaded.get(name) for name in (one.base_name for one in rest)}
    return torch_layouts.pair_of(loaded[images.base_name], loaded[labels.base_name], limits, extra)


def _load(path: Path, limits: PublishedLimits, work: Path) -> object:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(torch_files.LEGACY_MAGIC):
        _refuse_by_content(path, head)
        with _opened(path, work, limits) as archive:
            if not _is_torch_zip(archive):
                raise _unknown("a zip under the name of a torch file")
            torch_files.check_structure(archive, limits)
    return torch_files.load(path, limits)


def _copied(archive: Archive, member: Member, work: Path) -> Path:
    """On disk under a name of ours; the archive's own limits bound its size."""
    number = len(list(work.iterdir()))
    path = work / f"member-{number}"
    with path.open("wb") as file:
        file.writelines(archive.chunks(member))
    return path


def _holds_members(path: Path) -> bool:
    """Whether a zip in a zip is neither torch's nor numpy's: archives are opened one level deep."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content[:2] == b"PK" and content.find(b"data.pkl") < 0 and content.find(b".npy") < 0


def _refuse_by_content(path: Path, head: bytes) -> None:
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise DataError(f"the file is {PICKLE.name}: {PICKLE.refusal}", code="bare_pickle", layout="E")
    if head.startswith(PARQUET_MAGIC):
        raise _not_read(PARQUET)
    if head[:1] and (0x80 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(b"x_proto") >= 0:
                raise _not_read(FLAX)


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 1024**2


def _is_torch_zip(archive: Archive) -> bool:
    return [one.name.count("/") for one in archive.members if one.base_name == "data.pkl"] == [1]


@contextmanager
def _opened(path: Path, work: Path, limits: PublishedLimits) -> Iterator[Archive]:
    """`open_source`, whose own list of what is known is that of data sets."""
    try:
        with open_source(path, work, limits.of_archive()) as archive:
            yield archive
    except DataError as error:
        if error.code != "unrecognised_format":
            raise
        raise _unknown(str(error.context["seen"])) from error


def _unknown(seen: str) -> DataError:
    known = "; ".join(f"{one.name} ({one.files})" for one in LAYOUTS.values() if one.refusal is None)
    return DataError(
        f"the upload is no condensed set of a known layout: it holds {seen}. Known are {known}",
        code="unknown_layout",
        seen=seen,
    )


def _not_read(layout: Layout) -> DataError:
    return DataError(
        f"the file is {layout.name}, as {layout.made_by} saves it: {layout.refusal}",
        code="layout_not_read",
        layout=layout.letter,
    )


def _ambiguous(what: str, members: list[Member]) -> DataError:
    return DataError(
        f"{what}: {_names(members)}. Upload one file, or a zip of one pair such as images_best.pt and"
        " labels_best.pt",
        code="ambiguous_members",
    )


def _names(members: list[Member]) -> str:
    return ", ".join(one.name[-80:] for one in members[:10]) + (", …" if len(members) > 10 else "")
