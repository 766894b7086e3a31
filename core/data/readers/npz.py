"""Image and label arrays: in an npz, or as .npy files in a zip, tar or folder, with or without splits.

Names are one of images, image, x, data and one of labels, label, y, targets, target, with train, val
or test before or after (x_train, train_images, …) or as the folder (train/images.npy), in any case;
`classes`, `class_names` or `label_names` are optional. Images are (N, H, W), (N, H, W, C) or (N, C, H, W)
with C 1, 3 or 4, of uint8 or of uint16, which keep their high byte. Floats are refused: whether they run
to 1 or to 255 would be a guess.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.canonical.channels import CHANNELS
from core.data.containers.archive import Archive
from core.data.containers.inflate import ByteStream
from core.data.containers.members import Member
from core.data.formats.array_rows import check_image_shape, stream_rows
from core.data.formats.npy_header import MAGIC, NpyHeader, read_npy_header
from core.data.labels.numbered import label_names
from core.data.labels.text_labels import class_names
from core.data.limits import MIB, Limits, check_limit
from core.data.sniff import is_image
from core.data.source import SPLIT_ALIASES, SPLIT_NAMES, TRAIN, PixelBatch, SkippedFiles, Source
from core.errors import DataError

NAME = "npz"
#: Of arrays that lie beside one another.
LOOSE_NAME = "npy"
ACCEPTS = "npz, or .npy arrays in a zip or tar, with images and labels"
IMAGE_WORDS = ("images", "image", "x", "data")
LABEL_WORDS = ("labels", "label", "y", "targets", "target")
CLASS_NAMES = ("classes", "class_names", "label_names")
CLASS_NAME_BYTES = 64 * MIB


@dataclass(frozen=True, kw_only=True)
class _Array:
    member: Member
    header: NpyHeader


@dataclass(frozen=True, kw_only=True)
class _Part:
    images: _Array
    split: int
    first_row: int
    count: int
    height: int
    width: int
    channels: int
    channels_first: bool


def matches(archive: Archive) -> bool:
    """Whether there are image arrays by name and content, with label arrays or without any image file.

    Also whether every member is a .npy by its first bytes: `read` then says which names it expects.
    """
    named = [(member, _role(member)) for member in archive.members]
    roles = {role[0] for member, role in named if role is not None and _is_npy(archive, member)}
    if True in roles:
        return False in roles or not any(is_image(archive.head(member, 12)) for member in archive.members)
    return bool(archive.members) and all(_is_npy(archive, member) for member in archive.members)


def read(archive: Archive, limits: Limits) -> Source:
    """Rows in file order, train first.

    Raises:
        DataError: `object_array`, `unsupported_dtype`, `unsupported_shape`, `corrupt_npy`,
            `corrupt_member`, `label_mismatch`, `unsafe_class_name`, `ambiguous_members`,
            `no_images` or `limit_exceeded`.
    """
    skipped = SkippedFiles()
    images: dict[int, _Array] = {}
    labels: dict[int, _Array] = {}
    names: Sequence[str] | None = None
    for member in archive.members:
        role = _role(member)
        holds_names = _key(member) in CLASS_NAMES
        if not _is_npy(archive, member):
            skipped.add(member.name, "not a .npy array")
        elif role is None and not holds_names:
            skipped.add(member.name, "not a known array name")
        else:
            stream = ByteStream(archive.chunks(member))
            header = read_npy_header(stream, size=member.size, member=member.name)
            array = _Array(member=member, header=header)
            if role is None:
                names = _text(archive, array, limits)
                continue
            is_images, split = role
            target = images if is_images else labels
            if split in target:
                raise DataError(
                    f"{target[split].member.name!r} and {member.name!r} both are the {SPLIT_NAMES[split]} "
                    f"{'images' if is_images else 'labels'}: leave one of them out",
                    code="ambiguous_members",
                    member=member.name,
                )
            target[split] = array
    if not images:
        seen = ", ".join(member.base_name for member in archive.members[:20])
        raise DataError(
            f"there is no image array in the {archive.container}, only {seen}; expected a name such as "
            "images, x or x_train",
            code="no_images",
        )
    parts: list[_Part] = []
    all_labels: list[NDArray[np.int64]] = []
    for split in sorted(images):
        part = _part(images[split], split, sum(part.count for part in parts), limits)
        all_labels.append(_labels(archive, labels.get(split), part, limits))
        parts.append(part)
    if len({part.channels for part in parts}) > 1:
        raise DataError("the splits differ in their number of channels", code="unsupported_shape")
    check_limit("images", sum(part.count for part in parts), limits.images)
    classes, labels_N = label_names(np.concatenate(all_labels), names)
    counts = [part.count for part in parts]
    return Source(
        source_format=NAME if archive.container == "zip" and not skipped.total else LOOSE_NAME,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.repeat(np.array([part.split for part in parts], np.uint8), counts),
        sizes_N2=np.repeat(np.array([(p.height, p.width) for p in parts], np.int32), counts, axis=0),
        channels=parts[0].channels,
        skipped=skipped,
        batches=functools.partial(_batches, archive, parts),
    )


def _is_npy(archive: Archive, member: Member) -> bool:
    return member.base_name.lower().endswith(".npy") and archive.head(member, len(MAGIC)) == MAGIC


def _key(member: Member) -> str:
    return member.base_name.lower().removesuffix(".npy")


def _role(member: Member) -> tuple[bool, int] | None:
    """(whether it holds images, split) by its name, or None."""
    words = _key(member).split("_")
    split = SPLIT_ALIASES.get(member.name.lower().split("/")[-2], TRAIN) if "/" in member.name else TRAIN
    if len(words) == 2:
        named = [word for word in words if word in SPLIT_ALIASES]
        if len(named) != 1:
            return None
        split = SPLIT_ALIASES[named[0]]
        words.remove(named[0])
    if len(words) == 1 and words[0] in (*IMAGE_WORDS, *LABEL_WORDS):
        return words[0] in IMAGE_WORDS, split
    return None


def _part(array: _Array, split: int, first_row: int, limits: Limits) -> _Part:
    header, name = array.header, array.member.name
    if header.descr.lstrip("|<>=") not in ("u1", "u2"):
        raise DataError(
            f"{name!r} has dtype {header.descr!r}; images must be uint8 (0 to 255) or uint16 (0 to 65,535)",
            code="unsupported_dtype",
            member=name,
        )
    shape = header.shape
    channels_first = len(shape) == 4 and shape[3] not in CHANNELS and shape[1] in CHANNELS
    readable = len(shape) == 3 or (len(shape) == 4 and (channels_first or shape[3] in CHANNELS))
    if not readable or (header.fortran_order and len(shape) > 1):
        order = " in Fortran order" if header.fortran_order else ""
        raise DataError(
            f"{name!r} has shape {shape}{order}; images must be C-ordered (N, H, W), (N, H, W, C) or "
            "(N, C, H, W) with C 1, 3 or 4",
            code="unsupported_shape",
            member=name,
        )
    if len(shape) == 3:
        count, height, width = shape
        channels = 1
    elif channels_first:
        count, channels, height, width = shape
    else:
        count, height, width, channels = shape
    check_image_shape(count, height, width, limits=limits, member=name)
    return _Part(
        images=array,
        split=split,
        first_row=first_row,
        count=count,
        height=height,
        width=width,
        channels=channels,
        channels_first=channels_first,
    )


def _labels(archive: Archive, array: _Array | None, part: _Part, limits: Limits) -> NDArray[np.int64]:
    images = part.images.member.name
    if array is None:
        raise DataError(f"{images!r} has no label array beside it", code="label_mismatch", member=images)
    header, name = array.header, array.member.name
    if header.descr.lstrip("|<>=")[0] not in "iu":
        raise DataError(
            f"{name!r} has dtype {header.descr!r}; labels must be whole numbers",
            code="unsupported_dtype",
            member=name,
        )
    if header.shape not in ((part.count,), (part.count, 1)):
        raise DataError(
            f"{name!r} has shape {header.shape}; {images!r} holds {part.count:,} images",
            code="label_mismatch",
            member=name,
        )
    values = np.frombuffer(_content(archive, array), header.descr)
    if int(values.max()) >= 2**63:
        raise DataError(f"{name!r} holds a label above 2**63 - 1", code="label_mismatch", member=name)
    check_limit("classes", len(np.unique(values)), limits.classes, name)
    return values.astype(np.int64)


def _content(archive: Archive, array: _Array) -> bytes:
    stream = ByteStream(archive.chunks(array.member))
    read_npy_header(stream, size=array.member.size, member=array.member.name)
    return stream.read(array.member.size)


def _text(archive: Archive, array: _Array, limits: Limits) -> tuple[str, ...]:
    header, name = array.header, array.member.name
    if header.descr.lstrip("|<>=")[0] not in "SU" or len(header.shape) != 1:
        raise DataError(
            f"{name!r} is {header.descr!r} {header.shape}; class names must be a list of text",
            code="unsupported_dtype",
            member=name,
        )
    check_limit("bytes of the class names", array.member.size, CLASS_NAME_BYTES, name)
    check_limit("classes", header.shape[0], limits.classes, name)
    content = _content(archive, array)
    try:
        if "U" in header.descr:
            # numpy answers a code point outside Unicode with a SystemError.
            content.decode("utf-32-be" if header.descr.startswith(">") else "utf-32-le")
        values = np.frombuffer(content, header.descr).tolist() if header.shape[0] else []
        texts = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
    except ValueError as error:
        raise DataError(
            f"{name!r} holds a class name that is not valid text", code="corrupt_npy", member=name
        ) from error
    return class_names(texts, member=name, limits=limits)


def _batches(archive: Archive, parts: Sequence[_Part], rows: NDArray[np.int64]) -> Iterator[PixelBatch]:
    for part in parts:
        member = part.images.member
        stream = ByteStream(archive.chunks(member))
        header = read_npy_header(stream, size=member.size, member=member.name)
        yield from stream_rows(
            stream,
            shape=header.shape,
            channels_first=part.channels_first,
            first_row=part.first_row,
            rows=rows,
            member=member.name,
            dtype=header.descr,
        )
