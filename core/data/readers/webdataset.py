"""WebDataset: tars in which the files of one sample share their name up to the first dot.

One tar, or many in a zip, a tar or a folder (one level, no deeper). The label of a sample is its `cls` (a
decimal number); in a set without, its `json` under label, class, cls or category; in a set without those, its
`txt` (a class name on one line). Other files of a sample are not looked at.
Layout: https://github.com/webdataset/webdataset.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.containers.shards import NO_SPLIT, SHARD_SUFFIXES, open_shards, splits_of, tar_shards
from core.data.formats.image_files import (
    IMAGE_SUFFIXES,
    is_noise,
    named_as_image,
    readable_images,
    source_of_files,
)
from core.data.labels.numbered import label_names
from core.data.labels.text_labels import WHOLE_NUMBER, LabelIndex, class_name, class_names
from core.data.limits import MIB, Limits, check_limit
from core.data.source import SkippedFiles, Source
from core.errors import DataError

NAME = "webdataset"
ACCEPTS = "WebDataset, one tar or shards in a zip or tar"
LABEL_PARTS = ("cls", "json", "txt")
JSON_FIELDS = ("label", "class", "cls", "category")
NAME_FILES = ("classes.txt", "classnames.txt")
LABEL_BYTES = {"cls": 64, "json": MIB, "txt": 4096}
NAMES_BYTES = 16 * MIB


@dataclass(slots=True)
class _Sample:
    """`key` is the name up to the first dot of its last part, `shard` and folders before it."""

    key: str
    images: list[Member] = field(default_factory=list)
    labels: dict[str, Member] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]


def matches(archive: Archive) -> bool:
    """Whether there are tar shards and no images beside them, or an image with a label of the same name.

    `cls` tells by its name. The others do in a tar whose images are all in one folder (class folders with
    captions or metadata beside the images are an image folder), `json` if the first one holds a label.
    """
    if tar_shards(archive):
        # What is in a shard is looked at by its reader only: listing may need it expanded.
        return not any(named_as_image(member.name) for member in archive.members if not is_noise(member))
    if not any(member.name.lower().endswith(LABEL_PARTS) for member in archive.members):
        return False
    samples = [sample for sample in _samples(archive.members) if sample.images]
    try:
        part = _label_part(archive, samples)
    except DataError:
        return False
    if part is None or part == "cls":
        return part == "cls"
    return archive.container.startswith("tar") and len({sample.folder for sample in samples}) == 1


def read(archive: Archive, limits: Limits) -> Source:
    """Rows in the order of split and key. The split is in the names of shards or the folders of keys.

    Class names are the lines of classes.txt or classnames.txt, in a shard or beside them; without, numeric
    labels are named by themselves. Samples without an image or a label are skipped.

    Raises:
        DataError: `corrupt_label`, `label_mismatch`, `ambiguous_members`, `unsafe_class_name`, `no_images`,
            `limit_exceeded`, or what a tar shard may raise.
    """
    skipped = SkippedFiles()
    names = _class_names(archive, limits)
    if shards := tar_shards(archive):
        for member in sorted(set(archive.members).difference(shards), key=lambda member: member.name):
            if member.base_name.lower() not in NAME_FILES and not is_noise(member):
                skipped.add(member.name, "not a tar shard")
        archive = open_shards(archive, shards, limits)
        names = names or _class_names(archive, limits)
        for member in archive.members:
            if member.base_name.lower().endswith(SHARD_SUFFIXES):
                skipped.add(member.name, "an archive in a shard, not opened")
    samples = [sample for sample in _samples(archive.members) if sample.images or sample.labels]
    part = _label_part(archive, [sample for sample in samples if sample.images])
    if part is None:
        raise DataError(
            "no sample has an image and a label (`cls`, `json` with a label, or `txt` beside it)",
            code="no_images",
        )
    folders = sorted({sample.folder for sample in samples})
    by_folder = zip(folders, splits_of(folders), strict=True)
    split_of = {folder: split for folder, split in by_folder if split is not None}
    labels = _Labels(archive, part, names, limits)
    usable = {sample.images[0]: sample for sample in samples if _usable(sample, part, split_of, skipped)}
    rows = [
        (split_of[usable[member].folder], member, labels.of(usable[member]), header)
        for member, header in readable_images(archive, usable, skipped, limits)
    ]
    rows.sort(key=lambda row: (row[0], row[1].name))
    check_limit("images", len(rows), limits.images)
    classes, labels_N = labels.classes(np.array([label for _, _, label, _ in rows], np.int64))
    files = [(split, member, header) for split, member, _, header in rows]
    return source_of_files(NAME, archive, files, classes=classes, labels_N=labels_N, skipped=skipped)


def _samples(members: Sequence[Member]) -> list[_Sample]:
    samples: dict[str, _Sample] = {}
    for member in members:
        if is_noise(member) or member.base_name.lower() in NAME_FILES:
            continue
        folder, slash, base = member.name.rpartition("/")
        stem, _, suffix = base.partition(".")
        sample = samples.setdefault(key := folder + slash + stem, _Sample(key))
        if suffix.lower() in IMAGE_SUFFIXES:
            sample.images.append(member)
        elif suffix.lower() in LABEL_PARTS:
            sample.labels[suffix.lower()] = member
    return list(samples.values())


def _label_part(archive: Archive, samples: Sequence[_Sample]) -> str | None:
    for part in LABEL_PARTS:
        first = next((sample.labels[part] for sample in samples if part in sample.labels), None)
        if first is not None and (part != "json" or _json_label(archive, first) is not None):
            return part
    return None


def _usable(sample: _Sample, part: str, split_of: Mapping[str, int], skipped: SkippedFiles) -> bool:
    if sample.folder not in split_of:
        reason = NO_SPLIT
    elif len(sample.images) != 1:
        reason = "several images in one sample" if sample.images else "no image in the sample"
    elif part not in sample.labels:
        reason = f"no {part} label in the sample"
    else:
        return True
    skipped.add(sample.key, reason)
    return False


def _json_label(archive: Archive, member: Member) -> int | str | None:
    check_limit("bytes of a label file", member.size, LABEL_BYTES["json"], member.name)
    try:
        content = json.loads(archive.read(member))
    except (ValueError, RecursionError) as error:
        raise _corrupt(member, "it is not JSON") from error
    if not isinstance(content, dict):
        raise _corrupt(member, "it is not a JSON object")
    value = next((content[name] for name in JSON_FIELDS if content.get(name) is not None), None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
        raise _corrupt(member, f"its label is {str(value)[:100]!r}, neither a whole number nor text")
    return value


def _corrupt(member: Member, why: str) -> DataError:
    return DataError(
        f"{member.name!r} is not a usable label: {why}", code="corrupt_label", member=member.name
    )


def _class_names(archive: Archive, limits: Limits) -> tuple[str, ...] | None:
    """Each shard may bring the file; all must say the same."""
    found: tuple[str, ...] | None = None
    for member in archive.members:
        if member.base_name.lower() not in NAME_FILES:
            continue
        check_limit("bytes of the class names", member.size, NAMES_BYTES, member.name)
        try:
            lines = archive.read(member).decode("utf-8-sig").strip().splitlines()
        except UnicodeDecodeError as error:
            raise _corrupt(member, "it is not UTF-8") from error
        names = class_names(lines, member=member.name, limits=limits)
        if found not in (None, names):
            raise DataError(
                f"{member.name!r} differs from another list of class names",
                code="ambiguous_members",
                member=member.name,
            )
        found = names
    return found


class _Labels:
    """Labels of one kind over all samples: numbers that index the names, or names of their own."""

    def __init__(self, archive: Archive, part: str, names: tuple[str, ...] | None, limits: Limits) -> None:
        self._archive, self._part, self._names, self._limits = archive, part, names, limits
        self._position = {name: label for label, name in enumerate(names or ())}
        self._index = LabelIndex(limits)

    def of(self, sample: _Sample) -> int:
        member = sample.labels[self._part]
        value = _json_label(self._archive, member) if self._part == "json" else self._text(member)
        if value is None or value == "":
            raise _corrupt(member, "it is empty")
        if self._part == "cls" or isinstance(value, int):
            if not WHOLE_NUMBER.fullmatch(str(value)):
                raise _corrupt(member, f"{str(value)[:100]!r} is not a decimal number")
            if self._names is None:
                return self._index.add(str(int(value)), member.name)
            if not 0 <= int(value) < len(self._names):
                raise DataError(
                    f"{member.name!r} holds the label {value}; there are {len(self._names)} class names",
                    code="label_mismatch",
                    member=member.name,
                    value=int(value),
                    limit=len(self._names),
                )
            return int(value)
        name = class_name(str(value), member=member.name, limits=self._limits)
        if not name:
            raise _corrupt(member, "it is empty")
        if self._names is None:
            return self._index.add(name, member.name)
        if name not in self._position:
            raise DataError(
                f"{member.name!r} holds {name!r}, which is not among the class names",
                code="label_mismatch",
                member=member.name,
                value=name,
            )
        return self._position[name]

    def _text(self, member: Member) -> str:
        check_limit("bytes of a label file", member.size, LABEL_BYTES[self._part], member.name)
        try:
            text = self._archive.read(member).decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise _corrupt(member, "it is not UTF-8") from error
        if len(text.splitlines()) > 1:
            raise _corrupt(member, "it has more than one line")
        return text

    def classes(self, labels_N: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        return self._index.sort(labels_N) if self._names is None else label_names(labels_N, self._names)
