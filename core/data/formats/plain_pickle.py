"""The plain data of a pickle: dict, list, tuple, text, bytes, whole numbers, and numpy arrays of those.

The CIFAR archives are pickles. Python's unpickler builds their values, and nothing is left for it to call.
First the instructions are looked through (pickletools): each must be one that builds such data. Then a name
such as `numpy.ndarray` becomes a stand-in of ours, found in a table: nothing is imported, and numpy sees
bytes, a type and a shape that were checked before.

A few bytes of a pickle can describe a value that is exponentially large when it is written out or hashed (a
tuple that holds one tuple twice, and so on). So tuples are not shared, types are compared before values, and
of a value only a text is ever quoted.
"""

import io
import math
import pickle
import pickletools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.limits import Limits, check_limit
from core.errors import DataError

ITEM_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
DIMENSIONS = 4
_TEXTS = frozenset({
    "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8",
})  # fmt: skip
#: What makes a value that the stream may name again.
_SHAREABLE = _TEXTS | {"EMPTY_LIST", "EMPTY_DICT", "GLOBAL", "STACK_GLOBAL", "REDUCE"}
_PUTS = frozenset({"BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"BINGET", "LONG_BINGET"})
_ALLOWED = _SHAREABLE | _PUTS | _GETS | {
    "PROTO", "FRAME", "STOP", "MARK", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "SETITEM",
    "SETITEMS", "APPEND", "APPENDS", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BUILD",
}  # fmt: skip


def load_plain(data: bytes, *, limits: Limits, member: str) -> object:
    """The value in a pickle of protocol 2 to 4; arrays are PickledArray, Python 2 strings are bytes.

    Raises:
        DataError: `unsafe_pickle` for anything but plain data, `corrupt_pickle`, or `limit_exceeded`.
    """
    check_limit("pickle_bytes", len(data), limits.pickle_bytes, member)
    try:
        with warnings.catch_warnings():
            # Of a stray backslash in a text of an instruction, which is refused all the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            _check_instructions(data, limits, member)
        return _Loader(data, member).load()
    except _Unsafe as error:
        raise DataError(
            f"{member!r} holds {error}; only plain data and arrays are read",
            code="unsafe_pickle",
            member=member,
        ) from error
    except (
        pickle.UnpicklingError,
        EOFError,
        IndexError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as error:
        # By its type alone: the library's own words may hold a value.
        raise DataError(
            f"{member!r} is not a readable pickle: {type(error).__name__}",
            code="corrupt_pickle",
            member=member,
        ) from error


class PickledArray:
    """An array in the pickle; `array` is None if the stream never filled it."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran_order, raw = state
        if type(dtype) is not _Dtype or type(raw) is not bytes:
            raise _Unsafe("an array that is not made of bytes")
        if type(shape) is not tuple or len(shape) > DIMENSIONS:
            raise ValueError("array shape")
        if any(type(side) is not int or side < 0 for side in shape) or type(fortran_order) not in (bool, int):
            raise ValueError("array shape")
        numbers = np.dtype(dtype.order + dtype.kind)
        if math.prod(shape) * numbers.itemsize != len(raw):
            raise ValueError("the array's shape and bytes differ")
        self.array = np.frombuffer(raw, numbers).reshape(shape, order="F" if fortran_order else "C")


class _Unsafe(Exception):
    """The pickle wants more than plain data; the message says what, in a few words."""


def _check_instructions(data: bytes, limits: Limits, member: str) -> None:
    made: dict[int, str] = {}
    made_last = ""
    instructions: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]] = pickletools.genops(data)
    for count, (opcode, value, position) in enumerate(instructions, 1):
        check_limit("pickle_operations", count, limits.pickle_operations, member)
        name = opcode.name
        if name not in _ALLOWED:
            raise _Unsafe(f"the instruction {name} at byte {position}")
        if name in _PUTS:
            index = len(made) if name == "MEMOIZE" else value
            if index > count:
                # Python makes room for all numbers below it.
                raise ValueError("a value is remembered under too high a number")
            made[index] = made_last
        elif name in _GETS:
            made_last = made[value]
            if made_last not in _SHAREABLE:
                raise _Unsafe(f"a tuple that is used again at byte {position}")
        else:
            if name == "FRAME" and value > len(data):
                raise ValueError("a frame is longer than the pickle")
            # Whole numbers hash to themselves: of larger ones many could be made that hash alike.
            if name == "LONG1" and not -(2**63) <= value < 2**63:
                raise _Unsafe(f"a number of more than 64 bits at byte {position}")
            made_last = name


class _Loader(pickle.Unpickler):
    def __init__(self, data: bytes, member: str) -> None:
        super().__init__(io.BufferedReader(io.BytesIO(data)), encoding="bytes")
        reconstruct = _Reconstruct()
        self._names: dict[tuple[str, str], _Name] = {
            ("numpy.core.multiarray", "_reconstruct"): reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): reconstruct,
            ("numpy", "ndarray"): _Ndarray(),
            ("numpy", "dtype"): _DtypeName(),
            ("_codecs", "encode"): _Encode(len(data), member),
        }

    def find_class(self, module: str, name: str) -> "_Name":
        found = self._names.get((module, name))
        if found is None:
            raise _Unsafe(f"the name {f'{module[:100]}.{name[:100]}'!r}")
        return found


class _Name:
    """What a name of the stream becomes; unlike a function or a class, nothing in it can be set by BUILD."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Any:
        raise _Unsafe(f"a call of {type(self).__name__.strip('_').lower()}")

    def __setstate__(self, state: Any) -> None:
        raise _Unsafe("a state for a name")


class _Ndarray(_Name):
    __slots__ = ()


class _Reconstruct(_Name):
    __slots__ = ()

    def __call__(self, kind: Any, *_: Any) -> PickledArray:
        if type(kind) is not _Ndarray:
            raise _Unsafe("an array of a foreign class")
        return PickledArray()


class _DtypeName(_Name):
    __slots__ = ()

    def __call__(self, kind: Any, *_: Any) -> "_Dtype":
        text = _text(kind)
        if text not in ITEM_TYPES:
            raise _Unsafe(f"an array of dtype {text[:40]!r}")
        return _Dtype(text)


class _Dtype:
    """A type of whole numbers, and its byte order."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str) -> None:
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("|", "<", ">") or any(part is not None for part in state[2:5]):
            raise _Unsafe("a dtype that is no plain number")
        self.order = order


class _Encode(_Name):
    """Python 3 writes bytes so in protocol 2: a text, to be encoded as latin-1."""

    __slots__ = ("_left", "_limit", "_member")

    def __init__(self, limit: int, member: str) -> None:
        self._left = self._limit = limit
        self._member = member

    def __call__(self, text: Any, encoding: Any, *_: Any) -> bytes:
        if type(text) is not str or _text(encoding) not in ("latin1", "latin-1"):
            raise _Unsafe("a call of _codecs.encode")
        # An honest pickle encodes each of its texts once; one text encoded again and again is a bomb.
        self._left -= len(text)
        check_limit("encoded bytes of a pickle", self._limit - self._left, self._limit, self._member)
        return text.encode("latin-1")


def _text(value: object) -> str:
    """A text as it is, or one of Python 2. Raises TypeError for anything else, which it does not print."""
    if type(value) is bytes:
        return value.decode("ascii")
    if type(value) is not str:
        raise TypeError("no text")
    return value
