"""Thrift's compact protocol, read no further than asked and as strictly as its C++ reader is lenient.

That one cuts a number down to the width of its type, lets a later field of the same number win, and takes the
elements of a list for what they should be. A file could so say one thing here and another there: refused.
Layout: Apache Thrift, doc/specs/thrift-compact-protocol.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
BITS = {I16: 16, I32: 32, I64: 64}
WIDTHS = {BYTE: 1, DOUBLE: 8}
DEPTH = 16
FIELDS = 2**15


@dataclass(frozen=True)
class Each:
    """A list of this: the type of a number or text, or a struct."""

    kind: "int | Shape"


@dataclass(frozen=True)
class Shape:
    """Fields of a struct by number: the type of a number or text, or what is in it. Others are passed over.

    `make` turns those found into what is kept of the struct; a text is kept as None.
    """

    fields: Mapping[int, "int | Shape | Each"]
    make: Callable[[dict[int, Any]], Any] = dict


NOTHING = Shape({}, lambda _: None)


class Compact:
    """Reads from the start of `data`.

    Attributes:
        position: behind the last byte read.
        elements: how many structs and elements of lists there may be in all.
    """

    def __init__(self, data: bytes, elements: int) -> None:
        self._data = data
        self.position = 0
        self._elements = elements

    def struct(self, shape: Shape, depth: int = 0) -> Any:
        """
        Raises:
            IndexError: the data ends early.
            ValueError: malformed, nested too deep, or not of this shape.
            TooManyElements: more than allowed.
        """
        self._count(1, depth)
        found: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self._integer(I16)
            if not -FIELDS <= number < FIELDS:
                raise ValueError(f"a field of the number {number}")
            expected = shape.fields.get(number)
            if expected is None:
                self._pass_over(header & 15, depth)
            elif number in found:
                raise ValueError(f"field {number} occurs twice")
            else:
                found[number] = self._expected(header & 15, expected, depth)
        return shape.make(found)

    def _expected(self, kind: int, expected: "int | Shape | Each", depth: int) -> Any:
        wanted = LIST if isinstance(expected, Each) else STRUCT if isinstance(expected, Shape) else expected
        if kind != wanted:
            raise ValueError(f"a field of type {kind} where {wanted} should be")
        if isinstance(expected, Each):
            element, count = self._list()
            if count:
                self._count(0 if element == STRUCT else count, depth)
            return [self._expected(element, expected.kind, depth + 1) for _ in range(count)]
        if isinstance(expected, Shape):
            return self.struct(expected, depth + 1)
        return self._pass_over(kind, depth) if kind == BINARY else self._integer(kind)

    def _pass_over(self, kind: int, depth: int, *, in_list: bool = False) -> None:
        if kind in BITS:
            self._varint()
        elif kind == STRUCT:
            self.struct(NOTHING, depth + 1)
        elif kind in (LIST, SET):
            element, count = self._list()
            self._count(0 if element == STRUCT else count, depth + 1)
            for _ in range(count):
                self._pass_over(element, depth + 1, in_list=True)
        elif kind in (TRUE, FALSE):
            # In a field its type is its value; in a list it is a byte of its own.
            self._skip(1 if in_list else 0)
        elif kind in WIDTHS:
            self._skip(WIDTHS[kind])
        elif kind == BINARY:
            self._skip(self._varint())
        else:
            # Parquet has no maps.
            raise ValueError(f"unknown type {kind}")

    def _list(self) -> tuple[int, int]:
        header = self._byte()
        return header & 15, self._varint() if header >> 4 == 15 else header >> 4

    def _count(self, elements: int, depth: int) -> None:
        self._elements -= elements
        if self._elements < 0:
            raise TooManyElements
        if depth > DEPTH:
            raise ValueError("nested too deep")

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        value = self._byte()
        if value < 128:
            return value
        value, shift = value & 127, 7
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _integer(self, kind: int) -> int:
        value = self._varint()
        if value >> BITS[kind]:
            raise ValueError(f"a number of more than {BITS[kind]} bits")
        return (value >> 1) ^ -(value & 1)


class TooManyElements(Exception):
    """The data holds more structs and elements of lists than allowed."""
