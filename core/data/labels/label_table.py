"""Rows of a csv, tsv or jsonl file, one at a time, each of bounded length."""

import csv
import json
from collections.abc import Iterator, Mapping

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.limits import MIB
from core.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl")
ROW_BYTES = MIB
DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",)}

Row = Mapping[str, str | None]
"""Column names in lower case, _ for spaces and hyphens → text without space around it; None if empty."""


def is_table(member: Member) -> bool:
    return member.name.lower().endswith(SUFFIXES)


def table_rows(archive: Archive, member: Member) -> Iterator[tuple[int, Row]]:
    """(line number, row). UTF-8, with or without BOM; empty lines are passed over.

    A csv's delimiter is that of comma, semicolon and tab which its first line holds most often.

    Raises:
        DataError: `corrupt_table`, naming the line, or `limit_exceeded` for a row of more than 1 MiB.
    """
    lines = _Lines(archive, member)
    return _json_rows(lines) if member.name.lower().endswith(".jsonl") else _csv_rows(lines)


class _Lines:
    """Decoded lines with their ends. `pending` counts bytes since `row_done` was called."""

    def __init__(self, archive: Archive, member: Member) -> None:
        self._chunks = archive.chunks(member)
        self.member = member.name
        self.number = 0
        self._pending = 0

    def row_done(self) -> None:
        self._pending = 0

    def __iter__(self) -> Iterator[str]:
        rest = b""
        for chunk in self._chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield self._decode(line + b"\n")
            self._check(len(rest))
        if rest:
            yield self._decode(rest)

    def _check(self, count: int) -> None:
        if self._pending + count > ROW_BYTES:
            raise DataError(
                f"a row of {self.member!r} is longer than {ROW_BYTES:,} bytes at line {self.number + 1}",
                code="limit_exceeded",
                limit_name="bytes of a row",
                value=self._pending + count,
                limit=ROW_BYTES,
                member=self.member,
            )

    def _decode(self, line: bytes) -> str:
        self._check(len(line))
        self._pending += len(line)
        self.number += 1
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise self.corrupt("it is not UTF-8") from error

    def corrupt(self, why: str) -> DataError:
        return DataError(
            f"{self.member!r} is not a usable table: line {self.number}: {why}",
            code="corrupt_table",
            member=self.member,
            line=self.number,
        )


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _csv_rows(lines: _Lines) -> Iterator[tuple[int, Row]]:
    source = iter(lines)
    header = next(source, "")
    delimiters = DELIMITERS[lines.member[-4:].lower()]
    delimiter = max(delimiters, key=header.count)
    try:
        columns = [_column(name) for name in next(csv.reader([header], delimiter=delimiter), [])]
        lines.row_done()
        named = [name for name in columns if name]
        if len(set(named)) != len(named):
            raise lines.corrupt("a column name occurs twice")
        for cells in csv.reader(source, delimiter=delimiter, strict=True):
            lines.row_done()
            if not any(cells):
                continue
            if len(cells) > len(columns):
                raise lines.corrupt(f"it has {len(cells)} cells, the header {len(columns)}")
            yield lines.number, {name: cell.strip() or None for name, cell in zip(columns, cells)}  # noqa: B905
    except csv.Error as error:
        raise lines.corrupt(str(error)) from error


def _json_rows(lines: _Lines) -> Iterator[tuple[int, Row]]:
    for line in lines:
        lines.row_done()
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise lines.corrupt(f"it is not JSON: {str(error)[:200]}") from error
        if not isinstance(content, dict):
            raise lines.corrupt("it is not a JSON object")
        yield lines.number, {_column(name): _cell(value) for name, value in content.items()}


def _cell(value: object) -> str | None:
    """Text or a number; anything else is no label and no file name, and reads as its JSON."""
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).strip() or None
