"""Tars that slip, bomb or lie, and compressed streams that do."""

import gzip
import io
import lzma
import struct
import tarfile
import zlib

import zstandard

from core.data.limits import MIB, Limits
from tests.data.case import Case, case
from tests.data.pack import tar_of
from tests.unit.data.builders import encode, folder, pixels

PNG = encode(pixels(1)[0])
END = bytes(1024)


def header(name: bytes, size: int | bytes = 0, kind: bytes = b"0") -> bytes:
    """One tar header; a size in bytes is put in as it is."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    start = name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field.ljust(12, b"\0")
    end = b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar\x0000"
    block = bytearray((start + end).ljust(512, b"\0"))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes, kind: bytes = b"0") -> bytes:
    return header(name, len(data), kind) + data + bytes(-len(data) % 512)


def pax(**records: bytes) -> bytes:
    """An extension header with these records."""
    body = b""
    for key, value in records.items():
        rest = b" " + key.replace("_", ".").encode() + b"=" + value + b"\n"
        length = len(rest)
        while length != len(b"%d" % length + rest):
            length = len(b"%d" % length + rest)
        body += b"%d" % length + rest
    return member(b"pax", body, b"x")


def _good() -> bytes:
    return b"".join(member(name.encode(), data) for name, data in folder().items())


def _with(*parts: bytes) -> bytes:
    return _good() + b"".join(parts) + END


def _linked(kind: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("cat/x.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    return buffer.getvalue()


def _wrong_checksum(at: int) -> bytes:
    data = bytearray(_with())
    start = data.index(b"cat/0.png" if at == 0 else b"dog/0.png")
    data[start + 1] ^= 1
    return bytes(data)


def _greedy_xz() -> bytes:
    """Asks for a dictionary of 4 GiB, which is what the reader would have to hold."""
    data = bytearray(lzma.compress(tar_of(folder()), preset=0))
    length = (data[12] + 1) * 4
    data[16] = 40
    data[12 + length - 4 : 12 + length] = struct.pack("<L", zlib.crc32(data[12 : 12 + length - 4]))
    return bytes(data)


def _bomb() -> bytes:
    return tar_of({"cat/0.png": bytes(8 * MIB)})


UNSAFE, UNSUPPORTED, BAD, LIMIT = (
    "unsafe_member_name",
    "unsupported_member",
    "corrupt_archive",
    "limit_exceeded",
)
EXTENSION = "bytes of a tar extension header"
KINDS = (
    ("symlink", "a symbolic link", tarfile.SYMTYPE),
    ("hardlink", "a hard link", tarfile.LNKTYPE),
    ("device", "a character device", tarfile.CHRTYPE),
    ("block-device", "a block device", tarfile.BLKTYPE),
    ("fifo", "a named pipe", tarfile.FIFOTYPE),
    ("sparse", "a GNU sparse file", b"S"),
    ("unknown-kind", "a member of the type Z", b"Z"),
)

CASES: tuple[Case, ...] = (
    *(
        case(f"tar-{name}", about, lambda kind=kind: _linked(kind), UNSUPPORTED, member="cat/x.png")  # type: ignore[misc]
        for name, about, kind in KINDS
    ),
    case("tar-pax-sparse", "a sparse file by its extension header",
         lambda: _with(pax(GNU_sparse_size=b"9999999"), member(b"cat/x.png", PNG)), UNSUPPORTED),
    case("tar-pax-slip", "a safe name overridden by one that climbs out",
         lambda: _with(pax(path=b"../../x.png"), member(b"cat/x.png", PNG)), UNSAFE, member="../../x.png"),
    case("tar-pax-nul", "a NUL in an overriding name",
         lambda: _with(pax(path=b"cat/x\0.png"), member(b"cat/x.png", PNG)), UNSAFE),
    case("tar-pax-size", "a size override of 2**62",
         lambda: _with(pax(size=b"%d" % 2**62), member(b"cat/x.png", PNG)), "truncated_archive"),
    case("tar-pax-size-negative", "a size override of -1",
         lambda: _with(pax(size=b"-1"), member(b"cat/x.png", PNG)), BAD),
    case("tar-pax-size-digits", "a size override of 3,000 digits",
         lambda: _with(pax(size=b"9" * 3000), member(b"cat/x.png", PNG)), BAD),
    case("tar-pax-length", "an extension record longer than its header",
         lambda: _with(member(b"pax", b"99 path=cat/x.png\n", b"x"), member(b"cat/x.png", PNG)), BAD),
    case("tar-pax-length-zero", "an extension record of length 0",
         lambda: _with(member(b"pax", b"0 path=x\n" * 20, b"x"), member(b"cat/x.png", PNG)), BAD),
    case("tar-pax-huge", "an extension header of 128 KiB",
         lambda: _with(pax(comment=b"x" * 131_072), member(b"cat/x.png", PNG)), LIMIT, limit_name=EXTENSION),
    case("tar-gnu-name-huge", "a GNU long name of 200,000 bytes",
         lambda: _with(member(b"././@LongLink", b"n" * 200_000, b"L"), member(b"cat/x.png", PNG)), LIMIT,
         limit_name=EXTENSION, value=200_000),
    case("tar-gnu-name-long", "a GNU long name of 2,000 bytes",
         lambda: _with(member(b"././@LongLink", b"n" * 2000, b"L"), member(b"cat/x.png", PNG)), LIMIT,
         limit_name="name_bytes", value=2000),
    case("tar-name-deep", "a member 17 folders deep", lambda: _with(member(b"a/" * 16 + b"x", PNG)), LIMIT,
         limit_name="name_depth", value=17),
    case("tar-name-empty", "a member without a name", lambda: _with(member(b"", PNG)), UNSAFE, member=""),
    case("tar-name-latin1", "a name that is not UTF-8", lambda: _with(member(b"caf\xe9/x.png", PNG)), UNSAFE),
    case("tar-twice", "one name twice", lambda: _with(member(b"cat/0.png", PNG)), "duplicate_member",
         member="cat/0.png"),
    case("tar-twice-by-case", "names that differ in case", lambda: _with(member(b"Cat/0.PNG", PNG)),
         "duplicate_member", member="Cat/0.PNG"),
    case("tar-twice-by-unicode", "one name composed and decomposed",
         lambda: tar_of({"e\u0301/1.png": PNG, "\u00e9/1.png": PNG}), "duplicate_member", member="\u00e9/1.png"),
    case("tar-size-base256", "a base-256 size of 2**80",
         lambda: _with(header(b"cat/x.png", b"\x80" + (2**80).to_bytes(11, "big"))), "truncated_archive"),
    case("tar-size-negative", "a negative base-256 size",
         lambda: _with(header(b"cat/x.png", b"\xff" * 12), PNG), BAD),
    case("tar-size-not-octal", "a size that is no number", lambda: _with(header(b"cat/x.png", b"12g45"), PNG), BAD),
    case("tar-checksum-first", "a first header whose checksum does not hold", lambda: _wrong_checksum(0), BAD),
    case("tar-checksum", "a later header whose checksum does not hold", lambda: _wrong_checksum(1), BAD),
    case("tar-no-end", "a tar without its two empty blocks", _good, "truncated_archive"),
    case("tar-bomb-headers", "extension headers without end",
         lambda: _with(member(b"g", b"", b"g") * 90, member(b"cat/x.png", PNG)), LIMIT, limits=Limits(members=20),
         limit_name="members (tar headers)", limit=80),
    case("tar-bomb-count", "more members than allowed", lambda: tar_of(folder(each=10)), LIMIT,
         limits=Limits(members=19), limit_name="members", limit=19),
    case("gz-bomb", "a tar.gz of 8 MiB of zeros", lambda: gzip.compress(_bomb()), LIMIT, limit_name="ratio"),
    case("xz-bomb", "a tar.xz of 8 MiB of zeros", lambda: lzma.compress(_bomb(), preset=0), LIMIT, limit_name="ratio"),
    case("zst-bomb", "a tar.zst of 8 MiB of zeros", lambda: zstandard.compress(_bomb()), LIMIT,
         limit_name="ratio"),
    case("gz-expanded-bytes", "a tar.gz over the limit of expanded bytes",
         lambda: gzip.compress(tar_of(folder())), LIMIT, limits=Limits(expanded_bytes=5000),
         limit_name="expanded_bytes"),
    case("xz-memory", "xz data that asks for 4 GiB of memory", _greedy_xz, BAD),
    case("zst-memory", "Zstandard data that asks for 2 GiB of memory",
         lambda: b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\1\0\0" + bytes(600), LIMIT,
         limit_name="zstd_window_bytes", limit=128 * MIB),
    case("gz-in-gz", "gzip within gzip", lambda: gzip.compress(gzip.compress(tar_of(folder()))),
         "unrecognised_format"),
    case("gz-of-text", "gzip of text", lambda: gzip.compress(b"text " * 900), "unrecognised_format"),
    case("xz-of-nothing", "xz of nothing", lambda: lzma.compress(b""), "unrecognised_format"),
    case("gz-crc", "gzip whose checksum does not hold",
         lambda: gzip.compress(tar_of(folder()))[:-8] + bytes(8), BAD),
)  # fmt: skip
