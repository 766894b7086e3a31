"""Reads the plain data of a pickle without Python's unpickler.

The CIFAR archives are pickles. This interpreter knows only the instructions that build dict, list,
tuple, bytes, str, int, bool, None and numpy arrays of whole numbers. A name such as
`numpy.ndarray` is compared as text, never imported; nothing is ever called. Anything else in the
stream is refused. Instruction set: Python's pickletools, protocols 2 to 4.
"""

import itertools
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.limits import Limits, check_limit
from core.errors import DataError

RECONSTRUCT = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"))
NDARRAY = ("numpy", "ndarray")
DTYPE = ("numpy", "dtype")
ENCODE = ("_codecs", "encode")
ALLOWED = (*RECONSTRUCT, NDARRAY, DTYPE, ENCODE)
ITEM_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")


class _Global:
    def __init__(self, path: tuple[str, str]) -> None:
        self.path = path


class _Dtype:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.order = "<"


class PickledArray:
    """An array in the pickle; `array` is None if the stream never filled it."""

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None


def load_plain(data: bytes, *, limits: Limits, member: str) -> object:
    """The value in a pickle; arrays are PickledArray, Python 2 strings are bytes.

    Raises:
        DataError: `unsafe_pickle` for anything but plain data, `corrupt_pickle`, or `limit_exceeded`.
    """
    check_limit("pickle_bytes", len(data), limits.pickle_bytes, member)
    machine = _Machine(data, member)
    try:
        for count in itertools.count(1):
            check_limit("pickle_operations", count, limits.pickle_operations, member)
            opcode = machine.take(1)[0]
            if opcode == ord("."):
                break
            step = STEPS.get(opcode)
            if step is None:
                raise machine.unsafe(f"instruction {bytes([opcode])!r}")
            step(machine)
        value: object = machine.stack.pop()
        return value
    except (
        IndexError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        struct.error,
    ) as error:
        raise DataError(
            f"{member!r} is not a readable pickle: {type(error).__name__} at byte {machine.position}",
            code="corrupt_pickle",
            member=member,
        ) from error


class _Machine:
    def __init__(self, data: bytes, member: str) -> None:
        self.data = memoryview(data)
        self.member = member
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def unsafe(self, what: str) -> DataError:
        return DataError(
            f"{self.member!r} holds {what} at byte {self.position}; only plain data and arrays are read",
            code="unsafe_pickle",
            member=self.member,
        )

    def take(self, count: int) -> memoryview:
        taken = self.data[self.position : self.position + count]
        if len(taken) != count:
            raise ValueError("the pickle ends early")
        self.position += count
        return taken

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def line(self) -> str:
        end = bytes(self.data[self.position : self.position + 256]).index(b"\n")
        return bytes(self.take(end + 1))[:-1].decode("ascii")

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def name(self, path: tuple[str, str]) -> None:
        if path not in ALLOWED:
            raise self.unsafe(f"the name {'.'.join(path)[:200]!r}")
        self.stack.append(_Global(path))

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise ValueError("items for something that is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Not whole numbers: their hashes are theirs to choose, and many equal ones take hours.
            if type(key) not in (bytes, str):
                raise self.unsafe(f"a dict key of type {type(key).__name__}")
            target[key] = value

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("append to something that is no list")
        self.stack[-1].extend(values)

    def reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if type(function) is not _Global or type(args) is not tuple:
            raise self.unsafe("a call")
        if function.path in RECONSTRUCT:
            if type(args[0]) is not _Global or args[0].path != NDARRAY:
                raise self.unsafe("an array of a foreign class")
            self.stack.append(PickledArray())
        elif function.path == DTYPE:
            kind = args[0].decode("ascii") if type(args[0]) is bytes else args[0]
            if kind not in ITEM_TYPES:
                raise self.unsafe(f"an array of dtype {str(kind)[:40]!r}")
            self.stack.append(_Dtype(kind))
        elif function.path == ENCODE:
            text, encoding = args
            if type(text) is not str or encoding not in ("latin1", "latin-1"):
                raise self.unsafe("a call of _codecs.encode")
            # An honest pickle encodes each of its texts once; one text encoded again and again is a bomb.
            self.encoded += len(text)
            check_limit("encoded bytes of a pickle", self.encoded, len(self.data), self.member)
            self.stack.append(text.encode("latin-1"))
        else:
            raise self.unsafe(f"a call of {'.'.join(function.path)}")

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Dtype:
            order = state[1].decode("ascii") if type(state[1]) is bytes else state[1]
            if order not in ("|", "<", ">") or any(part is not None for part in state[2:5]):
                raise self.unsafe("a dtype that is no plain number")
            target.order = order
        elif type(target) is PickledArray:
            _, shape, dtype, fortran_order, raw = state
            if type(dtype) is not _Dtype or type(raw) is not bytes:
                raise self.unsafe("an array that is not made of bytes")
            if len(shape) > 4 or any(type(side) is not int or side < 0 for side in shape):
                raise ValueError("array shape")
            numbers = np.dtype(dtype.order + dtype.kind)
            if math.prod(shape) * numbers.itemsize != len(raw):
                raise ValueError("the array's shape and bytes differ")
            target.array = np.frombuffer(raw, numbers).reshape(shape, order="F" if fortran_order else "C")
        else:
            raise self.unsafe("an object with a state of its own")


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(value(m))


def _utf8(m: _Machine, length: int) -> str:
    return str(m.take(length), "utf-8")


def _fill(m: _Machine, method: Callable[[list[Any]], None], count: int | None) -> None:
    if count is None:
        method(m.since_mark())
    else:
        values = m.stack[-count:]
        del m.stack[-count:]
        method(values)


def _tuple(m: _Machine, count: int) -> None:
    if len(m.stack) < count:
        raise ValueError("tuple")
    m.stack[-count:] = [tuple(m.stack[-count:])]


def _remember(m: _Machine, index: int) -> None:
    m.memo[index] = m.stack[-1]


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.name((str(module), str(name)))


STEPS: dict[int, Callable[[_Machine], None]] = {
    0x80: lambda m: m.take(1).release(),  # PROTO
    0x95: lambda m: m.take(8).release(),  # FRAME
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("}"): _push(lambda m: {}),
    ord("]"): _push(lambda m: []),
    ord(")"): _push(lambda m: ()),
    ord("t"): _push(lambda m: tuple(m.since_mark())),
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    ord("s"): lambda m: _fill(m, m.set_items, 2),
    ord("u"): lambda m: _fill(m, m.set_items, None),
    ord("a"): lambda m: _fill(m, m.append, 1),
    ord("e"): lambda m: _fill(m, m.append, None),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("J"): _push(lambda m: m.number("<i")),
    ord("K"): _push(lambda m: m.number("<B")),
    ord("M"): _push(lambda m: m.number("<H")),
    0x8A: _push(lambda m: int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    ord("U"): _push(lambda m: bytes(m.take(m.number("<B")))),
    ord("T"): _push(lambda m: bytes(m.take(m.number("<I")))),
    ord("C"): _push(lambda m: bytes(m.take(m.number("<B")))),
    ord("B"): _push(lambda m: bytes(m.take(m.number("<I")))),
    0x8E: _push(lambda m: bytes(m.take(m.number("<Q")))),
    0x8C: _push(lambda m: _utf8(m, m.number("<B"))),
    ord("X"): _push(lambda m: _utf8(m, m.number("<I"))),
    0x8D: _push(lambda m: _utf8(m, m.number("<Q"))),
    ord("q"): lambda m: _remember(m, m.number("<B")),
    ord("r"): lambda m: _remember(m, m.number("<I")),
    0x94: lambda m: _remember(m, len(m.memo)),
    ord("h"): _push(lambda m: m.memo[m.number("<B")]),
    ord("j"): _push(lambda m: m.memo[m.number("<I")]),
    ord("c"): lambda m: m.name((m.line(), m.line())),
    0x93: _stack_global,
    ord("R"): lambda m: m.reduce(),
    ord("b"): lambda m: m.build(),
}
