"""Edits that know a format: they change one field and mend what would betray it."""

import gzip
import re
import struct
import zlib
from collections.abc import Callable
from random import Random

from tests.fuzz.mutate import BOUNDARIES, mutate, number

#: (signature, (offset, width) of each field)
ZIP_RECORDS = (
    (b"PK\3\4", ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
    (
        b"PK\1\2",
        (
            *((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4)),
            *((28, 2), (30, 2), (32, 2), (34, 2), (38, 4), (42, 4)),
        ),
    ),
    (b"PK\5\6", ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
)
TAR_FIELDS = ((0, 100), (100, 8), (124, 12), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
TAR_VALUES = (
    *(b"../x", b"/x", b"a\\b", b"\0" * 12, b"\xff" * 12, b"0000000000\0", b"77777777777\0", b"-1\0"),
    *(b"\x80" + b"\0" * 7 + b"\xff" * 4, b"00000002000\0", b"L", b"K", b"x", b"g", b"S", b"1", b"2", b"5"),
    *(b"\xc3\x28", b"ustar  \0", b"ustar\x0000", b"a/" * 40),
)
PAX_BODIES = (
    *(b"20 path=cat/x.png\nxx\n", b"16 size=9999999\n", b"11 size=-1\n", b"14 size=00000\n", b"5 a=\n"),
    *(b"99 path=x\n", b"0 path=x\n", b"9 path=x\n", b" =\n", b"24 GNU.sparse.size=10000\n", b"\xff\xff"),
)
NPY_TYPES = ("|u1", "<u1", "<i8", ">i8", "<u8", "|O", "<f4", "<U3", "|S4", "|S0", "<U0", "|b1", "|V8", "u1")


def zip_field(rng: Random, data: bytes) -> bytes:
    """One field of one record of a zip, set to a boundary value."""
    signature, fields = rng.choice(ZIP_RECORDS)
    places = [match.start() for match in re.finditer(re.escape(signature), data)]
    if not places:
        return data
    offset, width = rng.choice(fields)
    at = rng.choice(places) + offset
    new = number(rng, width) if rng.random() < 0.8 else rng.choice((b"\0", b"\1", b"\x08", b"\x0e")) * width
    return data[:at] + new + data[at + width :]


def tar_field(rng: Random, data: bytes) -> bytes:
    """One field of one header of an uncompressed tar, with the checksum made right again."""
    starts = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    if not starts:
        return data
    at = rng.choice(starts)
    header = bytearray(data[at : at + 512])
    if rng.random() < 0.15:
        return data[:at] + _pax(rng, header) + data[at:]
    offset, width = rng.choice(TAR_FIELDS)
    if width == 12 and rng.random() < 0.5:
        value = b"%011o\0" % (rng.choice(BOUNDARIES) % 8**11)
    else:
        value = rng.choice(TAR_VALUES)
    header[offset : offset + width] = value[:width].ljust(width, b"\0")
    return data[:at] + _summed(header) + data[at + 512 :]


def _pax(rng: Random, template: bytearray) -> bytes:
    body = rng.choice(PAX_BODIES)
    header = bytearray(template)
    header[124:136] = b"%011o\0" % len(body)
    header[156:157] = rng.choice((b"x", b"g", b"L", b"K", b"X"))
    return _summed(header) + body.ljust(512, b"\0")


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % (sum(header) % 8**6)
    return bytes(header)


def npy_header(rng: Random, data: bytes) -> bytes:
    """Another type, shape or order in a .npy header that stays well-formed."""
    end = data.find(b"\n")
    if data[:6] != b"\x93NUMPY" or end < 0:
        return data
    text = data[10:end].decode("latin-1")
    how = rng.randrange(4)
    if how == 0:
        text = re.sub(r"'descr': '[^']*'", f"'descr': '{rng.choice(NPY_TYPES)}'", text)
    elif how == 1:
        sides = [rng.choice((*BOUNDARIES, -1, 2, 4, 3, 16)) for _ in range(rng.randrange(6))]
        text = re.sub(r"\(.*\)", str(tuple(sides)), text)
    elif how == 2:
        text = text.replace("False", rng.choice(("True", "0", "None")))
    else:
        numbers = list(re.finditer(r"\d+", text))
        if numbers:
            found = rng.choice(numbers)
            text = text[: found.start()] + str(rng.choice(BOUNDARIES)) + text[found.end() :]
    header = text.encode("latin-1") + b"\n"
    version = rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header + data[end + 1 :]


def inside_gzip(rng: Random, data: bytes) -> bytes:
    """The expanded bytes edited, and compressed again."""
    words = (b"\0\0\x08\1", b"\0\0\x08\3")
    return _inside_gzip(data, lambda expanded: mutate(rng, expanded, words, data))


def tar_shard(rng: Random, data: bytes) -> bytes:
    """One field of one header of a tar, gzipped or not."""
    return _inside_gzip(data, lambda expanded: tar_field(rng, expanded), tar_field(rng, data))


def _inside_gzip(data: bytes, edit: Callable[[bytes], bytes], otherwise: bytes | None = None) -> bytes:
    try:
        expanded = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):  # none, or edited before
        return data if otherwise is None else otherwise
    return gzip.compress(edit(expanded), 1)


def table_cell(rng: Random, data: bytes) -> bytes:
    """One cell of one line of a table put in the place of another, or in quotes, or dropped."""
    if data.startswith(b"\x89PNG"):
        return data
    lines = [re.split(rb"([,;\t:])", line) for line in data.split(b"\n")]
    line = rng.choice(lines)
    at = rng.randrange(len(line))
    cell = rng.choice(rng.choice(lines))
    line[at] = rng.choice(
        (cell, b'"' + cell + b'"', b'"' + cell, b"", (cell * 3000)[:2_000_000], b"../" + cell, b"/" + cell)
    )
    return b"\n".join(b"".join(line) for line in lines)


def png_chunk(rng: Random, data: bytes) -> bytes:
    """One chunk of a PNG edited, doubled or dropped, with its CRC made right again."""
    if not data.startswith(b"\x89PNG"):
        return data
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return data
    chosen = rng.randrange(len(chunks))
    kind, body = chunks[chosen]
    how = rng.random()
    if how < 0.15:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[chosen])
    elif how < 0.25:
        del chunks[chosen]
    elif how < 0.4 and kind == b"IDAT":
        try:
            chunks[chosen] = kind, zlib.compress(mutate(rng, zlib.decompress(body), (), body), 1)
        except zlib.error:
            chunks[chosen] = kind, b""
    else:
        words = (b"tRNS", b"PLTE", b"acTL", b"fcTL", b"zTXt", b"iCCP", b"eXIf")
        chunks[chosen] = rng.choice((kind, kind, *words)), mutate(rng, body, (), data)
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
