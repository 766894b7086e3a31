"""Class folders of image files, with or without split folders, in a zip or tar."""

import functools
from collections.abc import Sequence

import numpy as np

from core.data.archive import Archive
from core.data.image_files import image_batches, is_noise, readable_images
from core.data.limits import Limits, check_limit
from core.data.members import Member
from core.data.sniff import is_image
from core.data.source import SPLIT_ALIASES, TRAIN, SkippedFiles, Source


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
    images: list[tuple[list[str], Member]] = []
    sizes: list[tuple[int, int]] = []
    channels = 1
    for member, header in readable_images(archive, archive.members, skipped, limits):
        images.append((member.name.split("/"), member))
        sizes.append((header.height, header.width))
        channels = channels if header.grey else 3
    check_limit("images", len(images), limits.images)

    placed = _place([parts for parts, _ in images])
    rows = sorted(
        (place[0], place[1], images[i][1].name, i) for i, place in enumerate(placed) if place is not None
    )
    for i, place in enumerate(placed):
        if place is None:
            skipped.add(images[i][1].name, "not in a class folder")
    classes = tuple(sorted({row[1] for row in rows}))
    index = {name: label for label, name in enumerate(classes)}
    members = [images[i][1] for *_, i in rows]
    return Source(
        source_format="imagefolder",
        classes=classes,
        labels_N=np.array([index[name] for _, name, *_ in rows], np.int64),
        splits_N=np.array([split for split, *_ in rows], np.uint8),
        sizes_N2=np.array([sizes[i] for *_, i in rows], np.int32).reshape(-1, 2),
        channels=channels,
        skipped=skipped,
        batches=functools.partial(image_batches, archive, members, skipped),
    )


def _place(paths: Sequence[list[str]]) -> list[tuple[int, str] | None]:
    """(split, class) of each path, or None where there is no class folder."""
    start = 0
    while paths and len({tuple(parts[: start + 1]) for parts in paths}) == 1:
        # A folder that holds everything is no class, as long as folders remain below it.
        if max(len(parts) for parts in paths) - start < 3:
            break
        start += 1
    # In an archive a file may have the name of a folder, and end where the others go on.
    with_splits = all(parts[start].lower() in SPLIT_ALIASES for parts in paths if len(parts) > start)
    places: list[tuple[int, str] | None] = []
    for parts in paths:
        split = SPLIT_ALIASES[parts[start].lower()] if with_splits and len(parts) > start else TRAIN
        folders = parts[start + with_splits : -1]
        places.append((split, folders[0]) if folders else None)
    return places
