"""Class folders of image files, with or without split folders, in a zip or tar."""

import functools
from array import array
from collections.abc import Sequence

import numpy as np

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.formats.image_files import image_batches, is_noise, readable_images
from core.data.limits import Limits, check_limit
from core.data.sniff import is_image
from core.data.source import SPLIT_ALIASES, TRAIN, SkippedFiles, Source

NAME = "imagefolder"
ACCEPTS = "class folders of images in a zip or tar (.tar.gz, .tar.xz, .tar.zst)"


def matches(archive: Archive) -> bool:
    """Whether any member starts as an image does."""
    return any(is_image(archive.head(member, 12)) for member in archive.members if not is_noise(member))


def read(archive: Archive, limits: Limits) -> Source:
    """Labels from folder names: [top/][split/]class/…/file; rows in the order of split, class and name.

    Split folders are train, training, val, valid, validation, test and testing in any case. Files that
    are no readable image or lie in no class folder are skipped with a reason; hidden and system files
    silently.

    Raises:
        DataError: `limit_exceeded` for an image of too many bytes or pixels, or too many images.
    """
    skipped = SkippedFiles()
    images: list[Member] = []
    sizes = array("i")
    channels = 1
    for member, header in readable_images(archive, archive.members, skipped, limits):
        images.append(member)
        sizes.extend((header.height, header.width))
        channels = channels if header.grey else 3
    check_limit("images", len(images), limits.images)

    # In arrays: a million lists of path components would not fit beside the images.
    top, with_splits = _layout(images)
    kept, splits, provisional = array("q"), array("B"), array("q")
    label_of: dict[str, int] = {}
    for number, member in enumerate(images):
        place = _place(member, top, with_splits)
        if place is None:
            skipped.add(member.name, "not in a class folder")
            continue
        split, class_name = place
        kept.append(number)
        splits.append(split)
        provisional.append(label_of.setdefault(class_name, len(label_of)))
    classes = sorted(label_of)
    label_by_provisional = np.empty(len(classes), np.int64)
    label_by_provisional[[label_of[name] for name in classes]] = np.arange(len(classes))
    labels_N, splits_N = label_by_provisional[np.array(provisional, np.int64)], np.array(splits, np.uint8)
    # Stable, and members are in the order of their names.
    order = np.lexsort((labels_N, splits_N))
    rows = np.array(kept, np.int64)[order]
    return Source(
        source_format=NAME,
        classes=tuple(classes),
        labels_N=labels_N[order],
        splits_N=splits_N[order],
        sizes_N2=np.array(sizes, np.int32).reshape(-1, 2)[rows],
        channels=channels,
        skipped=skipped,
        batches=functools.partial(image_batches, archive, [images[row] for row in rows], skipped),
    )


def _layout(images: Sequence[Member]) -> tuple[int, bool]:
    """How many folders hold everything, and whether those below are splits."""
    top = 0
    while images and len({tuple(_parts(member)[: top + 1]) for member in images}) == 1:
        # A folder that holds everything is no class, as long as folders remain below it.
        if max(len(_parts(member)) for member in images) - top < 3:
            break
        top += 1
    # In an archive a file may have the name of a folder, and end where the others go on.
    below = (_parts(member)[top : top + 1] for member in images)
    return top, all(not part or part[0].lower() in SPLIT_ALIASES for part in below)


def _place(image: Member, top: int, with_splits: bool) -> tuple[int, str] | None:
    """Split and class, or None where there is no class folder."""
    parts = _parts(image)
    split = SPLIT_ALIASES[parts[top].lower()] if with_splits and len(parts) > top else TRAIN
    folders = parts[top + with_splits : -1]
    return (split, folders[0]) if folders else None


def _parts(image: Member) -> list[str]:
    return image.name.split("/")
