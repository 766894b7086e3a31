"""Thrift's compact protocol as trees that can be changed and written again, for Parquet files that lie."""

import struct
from dataclasses import dataclass, field
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _, STRUCT = range(1, 13)
INTEGERS = (I16, I32, I64)


@dataclass
class Struct:
    """Fields in their order as [number, type, value]; a number may occur twice, or be negative."""

    fields: list[list[Any]] = field(default_factory=list)

    def __getitem__(self, number: int) -> Any:
        return self._field(number)[2]

    def __contains__(self, number: int) -> bool:
        return any(found == number for found, *_ in self.fields)

    def __setitem__(self, number: int, value: Any) -> None:
        """Of a field that is there."""
        self._field(number)[2] = value

    def _field(self, number: int) -> list[Any]:
        for one in self.fields:
            if one[0] == number:
                return one
        raise KeyError(number)

    def add(self, number: int, kind: int, value: Any) -> None:
        self.fields.append([number, kind, value])

    def drop(self, number: int) -> None:
        self.fields = [one for one in self.fields if one[0] != number]


@dataclass
class Items:
    """A list, or a set; `count` is what it says of its length, if that is a lie."""

    kind: int
    values: list[Any]
    count: int | None = None


def read(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """The struct that begins there, and where it ends."""
    result = Struct()
    number = 0
    while header := data[at]:
        at += 1
        if header >> 4:
            number += header >> 4
        else:
            number, at = _integer(data, at)
        value, at = _value(data, at, header & 15)
        result.add(number, header & 15, value)
    return result, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind in INTEGERS:
        return _integer(data, at)
    if kind in (BYTE, DOUBLE):
        width = 8 if kind == DOUBLE else 1
        return data[at : at + width], at + width
    if kind == BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == STRUCT:
        return read(data, at)
    if kind not in (LIST, SET):
        raise ValueError(f"unknown type {kind}")
    header, at = data[at], at + 1
    count = header >> 4
    if count == 15:
        count, at = _varint(data, at)
    items = Items(header & 15, [])
    for _ in range(count):
        value, at = (data[at], at + 1) if items.kind in (TRUE, FALSE) else _value(data, at, items.kind)
        items.values.append(value)
    return items, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def write(tree: Struct) -> bytes:
    out = bytearray()
    last = 0
    for number, kind, value in tree.fields:
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(number)
        if kind not in (TRUE, FALSE):
            out += _written(kind, value)
        last = number
    return bytes(out) + b"\0"


def _written(kind: int, value: Any) -> bytes:
    if kind in INTEGERS:
        return zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + bytes(value)
    if kind == STRUCT:
        return write(value)
    if kind in (LIST, SET):
        count = len(value.values) if value.count is None else value.count
        start = bytes([count << 4 | value.kind]) if count < 15 else bytes([0xF0 | value.kind]) + varint(count)
        return start + b"".join(_written(value.kind, one) for one in value.values)
    return struct.pack("B", value) if kind in (TRUE, FALSE) else bytes(value)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)
