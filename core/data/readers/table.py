"""Images with their labels in a csv, tsv or jsonl table beside them.

As the Hugging Face ImageFolder (metadata.csv, metadata.jsonl with file_name, one in each split folder) and as
on Kaggle (train.csv with id and label, the id without its suffix). The split of an image is in the table's
split column, else in the name or folder of the table, else in the folder of the image.
"""

import itertools
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.containers.shards import NO_SPLIT, split_of
from core.data.formats.image_files import is_noise, named_as_image, readable_images, source_of_files
from core.data.labels.label_table import Row, is_table, table_rows
from core.data.labels.text_labels import LabelIndex, class_name
from core.data.limits import Limits, check_limit
from core.data.source import SPLIT_ALIASES, SPLIT_NAMES, TRAIN, SkippedFiles, Source
from core.errors import DataError

NAME = "table"
ACCEPTS = "images with a csv, tsv or jsonl table of their labels in a zip or tar"
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "id")
LABEL_COLUMNS = ("label", "class", "target", "category", "class_name")
SPLIT_COLUMNS = ("split", "set", "subset", "fold")
# A Kaggle sample submission has made-up labels for the test images.
NO_LABELS = "submission"
PROBED_ROWS = 100
MISSING_SHOWN = 10


class _Files:
    """The files of the archive that a row may mean."""

    def __init__(self, archive: Archive) -> None:
        self._exact: dict[str, Member] = {}
        self._by_end: defaultdict[str, list[Member]] = defaultdict(list)
        for member in archive.members:
            if is_table(member) or is_noise(member):
                continue
            self._exact[member.name] = member
            self._by_end[member.base_name].append(member)
            if named_as_image(member.name):
                self._by_end[member.base_name.rpartition(".")[0]].append(member)

    def find(self, written: str, table: Member) -> Member | None:
        """Relative to the table's folder, or the end of a path from a whole component on; suffix optional.

        Raises:
            DataError: `ambiguous_files` if several files end so, and not just one of them is in the split
                or folder of the table.
        """
        path = unicodedata.normalize("NFC", written.replace("\\", "/"))
        path = posixpath.normpath(path).lstrip("/")
        folder = table.name.rpartition("/")[0]
        near = self._exact.get(posixpath.normpath(posixpath.join(folder, path)))
        if near is not None:
            return near
        found = [
            member
            for member in self._by_end.get(path.rpartition("/")[2], ())
            if f"/{member.name}".endswith(f"/{path}")
            or f"/{member.name.rpartition('.')[0]}".endswith(f"/{path}")
        ]
        for narrower in (
            [member for member in found if member.name.startswith(f"{folder}/")],
            [member for member in found if split_of(member.name) == split_of(table.name)],
            found,
        ):
            if len(narrower) == 1:
                return narrower[0]
        if found:
            shown = ", ".join(repr(member.name) for member in found[:MISSING_SHOWN])
            raise DataError(
                f"{table.name!r} names {written[:200]!r}, which matches several files: {shown}",
                code="ambiguous_files",
                member=table.name,
                value=written[:200],
            )
        return None


@dataclass(frozen=True, kw_only=True)
class _Table:
    member: Member
    file_column: str
    label_column: str
    split_column: str | None


@dataclass(slots=True)
class _Entry:
    """`where` is where the label was read, for the error if another row says otherwise."""

    name: str
    split: int | None
    where: str


def matches(archive: Archive) -> bool:
    """Whether a table has a file and a label column, and names files that are in the archive.

    With all images in one folder there can be no class folders: then the columns are enough, or a table that
    cannot be read, so that the error will name the missing files, or the line.
    """
    if not _candidates(archive):
        return False
    tables, fault = _tables(archive, _Files(archive))
    return bool(tables) or fault is not None


def read(archive: Archive, limits: Limits) -> Source:
    """Rows in the order of split and name. Numeric labels are ordered by value.

    Rows without a label and images that no row names are skipped with a reason.

    Raises:
        DataError: `missing_files`, `ambiguous_files`, `conflicting_labels`, `corrupt_table`,
            `unsafe_class_name` or `limit_exceeded`.
    """
    skipped = SkippedFiles()
    files = _Files(archive)
    tables, fault = _tables(archive, files)
    if fault is not None and not tables:
        raise fault
    entries: dict[Member, _Entry | None] = {}
    for table in tables:
        _read_table(archive, table, files, entries, limits)
    used = {table.member for table in tables}
    for member in archive.members:
        if member not in used and member not in entries and not is_noise(member):
            reason = "a table without a file and a label column" if is_table(member) else "no row names it"
            skipped.add(member.name, reason)
    labelled: dict[Member, tuple[int, str]] = {}
    for member, entry in sorted(entries.items(), key=lambda item: item[0].name):
        if entry is None or entry.split is None:
            skipped.add(member.name, "its row has no label" if entry is None else NO_SPLIT)
        else:
            labelled[member] = (entry.split, entry.name)
    rows = [
        (*labelled[member], member, header)
        for member, header in readable_images(archive, labelled, skipped, limits)
    ]
    rows.sort(key=lambda row: (row[0], row[2].name))
    check_limit("images", len(rows), limits.images)
    index = LabelIndex(limits)
    labels = [index.add(name, member.name) for _, name, member, _ in rows]
    classes, labels_N = index.sort(np.array(labels, np.int64))
    placed = [(split, member, header) for split, _, member, header in rows]
    return source_of_files(NAME, archive, placed, classes=classes, labels_N=labels_N, skipped=skipped)


def _candidates(archive: Archive) -> list[Member]:
    return [
        member
        for member in archive.members
        if is_table(member) and not is_noise(member) and NO_LABELS not in member.base_name.lower()
    ]


def _tables(archive: Archive, files: _Files) -> tuple[list[_Table], DataError | None]:
    """Those to be read; and what is wrong with another one, if there can be no class folders."""
    tables: list[_Table] = []
    fault: DataError | None = None
    images = (member.name for member in archive.members if named_as_image(member.name))
    one_folder = len({name.rpartition("/")[0] for name in images}) == 1
    for member in _candidates(archive):
        try:
            rows = [row for _, row in itertools.islice(table_rows(archive, member), PROBED_ROWS)]
            table = _table(member, rows, files, one_folder)
        except DataError as error:
            # A stray file beside class folders may hold anything.
            fault = fault or (error if one_folder else None)
            continue
        if table is not None:
            tables.append(table)
    return tables, fault


def _table(member: Member, rows: Sequence[Row], files: _Files, one_folder: bool) -> _Table | None:
    columns = dict.fromkeys(column for row in rows for column in row)
    labels = [name for name in LABEL_COLUMNS if name in columns]
    names = [name for name in FILE_COLUMNS if name in columns]
    if not labels or not names:
        return None
    naming = [name for name in names if any(_named(row.get(name), member, files) for row in rows)]
    if not naming and not one_folder:
        return None
    return _Table(
        member=member,
        file_column=(naming or names)[0],
        label_column=labels[0],
        split_column=next((name for name in SPLIT_COLUMNS if name in columns), None),
    )


def _named(written: str | None, table: Member, files: _Files) -> bool:
    try:
        return written is not None and files.find(written, table) is not None
    except DataError:
        return True


def _read_table(
    archive: Archive, table: _Table, files: _Files, entries: dict[Member, _Entry | None], limits: Limits
) -> None:
    """Adds an entry for each file that a row names, None if the row has no label."""
    missing: list[str] = []
    missing_count = 0
    by_column = _has_splits(archive, table)
    table_split = split_of(table.member.name)
    for line, row in table_rows(archive, table.member):
        where = f"line {line} of {table.member.name!r}"
        written = row.get(table.file_column)
        if written is None:
            raise DataError(
                f"{table.member.name!r} is not a usable table: line {line}: no {table.file_column}",
                code="corrupt_table",
                member=table.member.name,
                line=line,
            )
        member = files.find(written, table.member)
        if member is None:
            missing_count += 1
            if len(missing) < MISSING_SHOWN:
                missing.append(written[:200])
            continue
        label = class_name(row.get(table.label_column) or "", member=table.member.name, limits=limits)
        if by_column and table.split_column is not None:
            split = SPLIT_ALIASES.get((row.get(table.split_column) or "").lower())
        else:
            split = table_split if table_split is not None else _folder_split(member)
        _add(entries, member, _Entry(label, split, where) if label else None)
    if missing:
        shown = ", ".join(map(repr, missing))
        raise DataError(
            f"{table.member.name!r} names {missing_count:,} files that the upload lacks: {shown}"
            + (", …" if missing_count > len(missing) else ""),
            code="missing_files",
            member=table.member.name,
            value=missing_count,
            first=missing,
        )


def _has_splits(archive: Archive, table: _Table) -> bool:
    """Whether the split column names splits; numbered folds of a cross-validation are none."""
    name = table.split_column
    return name is not None and any(
        (row.get(name) or "").lower() in SPLIT_ALIASES for _, row in table_rows(archive, table.member)
    )


def _folder_split(member: Member) -> int:
    folders = member.name.lower().split("/")[:-1]
    return next((SPLIT_ALIASES[name] for name in reversed(folders) if name in SPLIT_ALIASES), TRAIN)


def _add(entries: dict[Member, _Entry | None], member: Member, entry: _Entry | None) -> None:
    earlier = entries.setdefault(member, entry)
    if earlier is None:
        entries[member] = entry
    elif entry is not None and (entry.name, entry.split) != (earlier.name, earlier.split):
        first, second = (
            (f"class {entry.name!r}" for entry in (earlier, entry))
            if entry.name != earlier.name
            else (_split_words(entry.split) for entry in (earlier, entry))
        )
        raise DataError(
            f"{member.name!r} is {first} in {earlier.where} and {second} in {entry.where}",
            code="conflicting_labels",
            member=member.name,
            value=[first, second],
        )


def _split_words(split: int | None) -> str:
    return NO_SPLIT if split is None else f"in the {SPLIT_NAMES[split]} split"
