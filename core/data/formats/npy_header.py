"""The header of a .npy array, parsed by hand so that nothing is allocated or unpickled on its word."""

import ast
import math
import re
from dataclasses import dataclass

from core.data.containers.inflate import ByteStream
from core.errors import DataError

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 4096
DIMENSIONS = 4
ITEM_BYTES = re.compile(r"[|<>=]?(?:[iu](1|2|4|8)|(b)1|S(\d{1,6})|U(\d{1,6}))")


@dataclass(frozen=True, kw_only=True)
class NpyHeader:
    """`descr` is numpy's type string, for example "|u1" or "<i8"."""

    descr: str
    shape: tuple[int, ...]
    fortran_order: bool


def read_npy_header(stream: ByteStream, *, size: int, member: str) -> NpyHeader:
    """Read and check a header; the stream is left at the array's first byte.

    Args:
        size: bytes of the whole .npy.

    Raises:
        DataError: `corrupt_npy`, `object_array` or `unsupported_dtype`.
    """
    start = stream.read(8)
    if len(start) < 8 or start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise _corrupt(member, "it does not start as .npy version 1, 2 or 3")
    length_bytes = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(length_bytes), "little")
    if length > HEADER_BYTES:
        raise _corrupt(member, f"its header is {length:,} bytes long; the limit is {HEADER_BYTES:,}")
    text = stream.read(length)
    if len(text) != length:
        raise _corrupt(member, "it ends inside its header")
    header = _parse(text, member)
    item = ITEM_BYTES.fullmatch(header.descr)
    if item is None:
        if "O" in header.descr:
            raise DataError(
                f"{member!r} is an object array, readable only by unpickling: save it with a numeric dtype",
                code="object_array",
                member=member,
            )
        advice = (
            ": pixels from 0 to 1 become uint8 by np.rint(x * 255).astype('uint8')"
            if "f" in header.descr
            else ""
        )
        raise DataError(
            f"{member!r} has dtype {header.descr!r}; images must be uint8 or uint16, labels integer, "
            f"names text{advice}",
            code="unsupported_dtype",
            member=member,
        )
    width, boolean, ascii_chars, chars = item.groups()
    item_bytes = int(width or (boolean and 1) or ascii_chars or 4 * int(chars or 0))
    needed = math.prod(header.shape) * item_bytes
    present = size - len(start) - length_bytes - length
    if needed != present:
        raise _corrupt(
            member,
            f"shape {header.shape} of {header.descr} needs {needed:,} bytes and {present:,} are present",
        )
    return header


def _parse(text: bytes, member: str) -> NpyHeader:
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise _corrupt(member, "its header is not a dictionary literal") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise _corrupt(member, "its header lacks descr, fortran_order or shape")
    descr, fortran_order, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    if not isinstance(descr, str):
        raise DataError(
            f"{member!r} has a structured dtype, which is not read", code="unsupported_dtype", member=member
        )
    whole = isinstance(shape, tuple) and all(type(side) is int and 0 <= side < 2**48 for side in shape)
    if not whole or len(shape) > DIMENSIONS or type(fortran_order) is not bool:
        raise _corrupt(
            member, f"its shape is not up to {DIMENSIONS} whole numbers, or its order not a boolean"
        )
    return NpyHeader(descr=descr, shape=shape, fortran_order=fortran_order)


def _corrupt(member: str, why: str) -> DataError:
    return DataError(f"{member!r} is not a usable .npy: {why}", code="corrupt_npy", member=member)
