"""Zips that slip, bomb or lie."""

import itertools
import stat
import struct
import zlib
from dataclasses import replace

import numpy as np

from core.data.limits import GIB, MIB, Limits
from tests.data.case import Case, case
from tests.data.pack import zip_of
from tests.data.raw_zip import DEFLATED, LOCAL, STORED, Entry, deflate, deflated, raw_zip
from tests.unit.data.builders import Files, encode, folder, npy, pixels

PNG = encode(pixels(1)[0])


def _good() -> list[Entry]:
    return [Entry(name=name.encode(), stored=data) for name, data in folder().items()]


def _with(*entries: Entry) -> bytes:
    return raw_zip([*_good(), *entries])


def _one(**fields: object) -> bytes:
    """The good members, and cat/x.png with these fields."""
    return _with(replace(Entry(name=b"cat/x.png", stored=PNG), **fields))  # type: ignore[arg-type]


def _npz(**lies: int) -> bytes:
    """An npz whose labels lie about their size or checksum."""
    labels = deflated(b"labels.npy", npy(pixels(40)[:, 0, 0, 0] % 2))
    return raw_zip([deflated(b"images.npy", npy(pixels(40))), replace(labels, **lies)])  # type: ignore[arg-type]


def _noise() -> bytes:
    labels = deflated(b"labels.npy", npy(np.arange(40)))
    broken = replace(labels, stored=labels.stored[:-20] + b"\xff" * 20)
    return raw_zip([deflated(b"images.npy", npy(pixels(40))), broken])


def _zip64_sizes(size: int, count: int = 1) -> bytes:
    extra = struct.pack("<2HQ", 1, 8, size)
    names = (b"cat/%d.png" % i for i in range(count))
    return raw_zip(
        [Entry(name=name, stored=PNG, method=DEFLATED, size=2**32 - 1, extra=extra) for name in names]
    )


def _zip64_end(directory_bytes: int, entries: int) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, directory_bytes, 0)
    plain = raw_zip(_good())
    at = plain.index(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return raw_zip(
        _good(), count=65535, directory_bytes=2**32 - 1, directory_at=2**32 - 1, before_end=record + locator
    )


def _overlaps() -> bytes:
    """D. Fifield, "A better zip bomb": each stream quotes the next header and runs on into its bytes."""
    kernel = bytes(MIB)
    entries: list[Entry] = []
    following, expanded = deflate(kernel), kernel
    names = [b"cat/%d.png" % i for i in range(20)]
    body = b""
    for name in reversed(names):
        entry = Entry(
            name=name, stored=following, method=DEFLATED, size=len(expanded), crc=zlib.crc32(expanded)
        )
        body = entry.header() + following
        entries.insert(0, entry)
        header = entry.header()
        quote = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF) + header
        following, expanded = quote + following, header + expanded
    first = replace(entries[0], stored=body[LOCAL.size + len(names[0]) :])
    # A block that is stored, and not compressed, begins with 5 bytes of its own.
    steps = (LOCAL.size + len(name) + 5 for name in names)
    offsets = list(itertools.accumulate(steps, initial=0))[:-1]
    rest = [
        replace(entry, offset=offset, shares=True)
        for entry, offset in zip(entries[1:], offsets[1:], strict=True)
    ]
    return raw_zip([replace(first, offset=0), *rest])


def _nested(depth: int) -> bytes:
    data = zip_of(folder())
    for _ in range(depth):
        data = zip_of({"a/1.zip": data, "b/2.zip": data})
    return data


def _broken_directory() -> bytes:
    data = bytearray(raw_zip(_good()))
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    data[at : at + 4] = b"PKxx"
    return bytes(data)


def _twice(name: bytes) -> bytes:
    return _with(Entry(name=name, stored=PNG))


LIMITED: Files = folder(each=10)
UNSAFE, UNSUPPORTED = "unsafe_member_name", "unsupported_member"
BAD_ZIP, LIMIT = "corrupt_archive", "limit_exceeded"

CASES: tuple[Case, ...] = (
    case("zip-name-nul", "a NUL in a name", lambda: _with(Entry(name=b"cat/x\0.png", stored=PNG)), UNSAFE,
         member="cat/x\\0.png"),
    case("zip-name-empty", "a member without a name", lambda: _with(Entry(name=b"", stored=PNG)), UNSAFE,
         member=""),
    case("zip-name-long", "a name of 1,025 bytes", lambda: _with(Entry(name=b"cat/" + b"x" * 1021)), LIMIT,
         limit_name="name_bytes", value=1025, limit=1024),
    case("zip-name-deep", "a member 17 folders deep", lambda: _with(Entry(name=b"a/" * 16 + b"x")), LIMIT,
         limit_name="name_depth", value=17),
    case("zip-twice", "one name twice", lambda: _twice(b"cat/0.png"), "duplicate_member", member="cat/0.png"),
    case("zip-twice-by-case", "names that differ in case", lambda: _twice(b"CAT/0.png"), "duplicate_member",
         member="CAT/0.png"),
    case("zip-twice-by-dot", "one name spelt with ./", lambda: _twice(b"cat/./0.png"), "duplicate_member"),
    case("zip-twice-by-slash", "one name spelt with //", lambda: _twice(b"cat//0.png"), "duplicate_member"),
    case("zip-twice-by-unicode", "one name composed and decomposed",
         lambda: _with(*(Entry(name=f"{one}/1.png".encode(), stored=PNG) for one in ("\u00e9", "e\u0301"))),
         "duplicate_member", member="\u00e9/1.png"),
    case("zip-symlink", "a symbolic link", lambda: _one(mode=stat.S_IFLNK | 0o777, stored=b"/etc/passwd"),
         UNSUPPORTED, member="cat/x.png"),
    case("zip-device", "a character device", lambda: _one(mode=stat.S_IFCHR | 0o666), UNSUPPORTED,
         member="cat/x.png"),
    case("zip-fifo", "a named pipe", lambda: _one(mode=stat.S_IFIFO | 0o666), UNSUPPORTED, member="cat/x.png"),
    case("zip-encrypted", "an encrypted member", lambda: _one(flags=1), UNSUPPORTED, member="cat/x.png"),
    case("zip-bzip2", "a member compressed by bzip2", lambda: _one(method=12), UNSUPPORTED, member="cat/x.png"),
    case("zip-lzma", "a member compressed by LZMA", lambda: _one(method=14), UNSUPPORTED, member="cat/x.png"),
    case("zip-aes", "a member with AES (method 99)", lambda: _one(method=99), UNSUPPORTED, member="cat/x.png"),
    case("zip-two-sizes", "a stored member of two sizes", lambda: _one(size=10**6), UNSUPPORTED,
         member="cat/x.png"),
    case("zip-bomb-ratio", "a PNG followed by 8 MiB of zeros, at 1000:1",
         lambda: _with(deflated(b"cat/z.png", PNG + bytes(8 * MIB))), LIMIT, limit_name="ratio",
         member="cat/z.png"),
    case("zip-bomb-overlap", "members that lie inside each other's streams", _overlaps, "overlapping_members",
         member="cat/0.png"),
    case("zip-bomb-shared", "a thousand names for the same bytes",
         lambda: raw_zip([Entry(name=b"cat/%d.png" % i, stored=PNG, offset=0, shares=i > 0) for i in range(1000)]),
         "overlapping_members"),
    case("zip-bomb-nested", "zips in zips in zips", lambda: _nested(3), "unrecognised_format"),
    case("zip-bomb-count", "more members than allowed", lambda: zip_of(LIMITED), LIMIT,
         limits=Limits(members=19), limit_name="members", value=20, limit=19),
    case("zip-member-bytes", "a member over its limit", lambda: zip_of(LIMITED), LIMIT,
         limits=Limits(member_bytes=100), limit_name="member_bytes"),
    case("zip-expanded-bytes", "members over the limit of their sum", lambda: zip_of(LIMITED), LIMIT,
         limits=Limits(expanded_bytes=1000), limit_name="expanded_bytes"),
    case("zip64-member-bytes", "a zip64 size of 2**60", lambda: _zip64_sizes(2**60), LIMIT,
         limit_name="member_bytes", member="cat/0.png", limit=16 * GIB),
    case("zip64-expanded-bytes", "five members of 15 GiB each, in a file of 3 KiB",
         lambda: _zip64_sizes(15 * GIB, 5), LIMIT, limit_name="expanded_bytes", limit=64 * GIB),
    case("zip64-without-field", "sizes left to a zip64 field that is not there",
         lambda: _one(size=2**32 - 1, stored_size=2**32 - 1), BAD_ZIP),
    case("zip64-directory-size", "a zip64 directory of 2**62 bytes", lambda: _zip64_end(2**62, 6), BAD_ZIP),
    case("zip64-directory-moved", "a zip64 directory that lies before the file",
         lambda: _zip64_end(2**25, 6), BAD_ZIP),
    case("zip-directory-size", "a directory of 4 GiB", lambda: raw_zip(_good(), directory_bytes=2**32 - 2),
         BAD_ZIP),
    case("zip-directory-moved", "a directory that lies before the file",
         lambda: raw_zip(_good(), directory_at=2**31), BAD_ZIP),
    case("zip-directory-broken", "a directory with a foreign record in it", _broken_directory, BAD_ZIP),
    case("zip-header-beyond", "a member whose header is past the end", lambda: _one(offset=2**31), BAD_ZIP,
         member="cat/x.png"),
    case("zip-header-elsewhere", "a member whose header is in another's bytes", lambda: _one(offset=7), BAD_ZIP,
         member="cat/x.png"),
    case("zip-into-directory", "a member that runs on into the directory",
         lambda: _one(stored_size=len(PNG) + 60, size=len(PNG) + 60), "overlapping_members", member="cat/x.png"),
    case("zip-size-low", "a member that expands past its size", lambda: _npz(size=140), "corrupt_member",
         member="labels.npy"),
    case("zip-crc", "a member whose checksum does not hold", lambda: _npz(crc=1), "corrupt_member",
         member="labels.npy"),
    case("zip-noise", "a deflate stream that breaks off into noise", _noise, "corrupt_member",
         member="labels.npy"),
    case("zip-image-bytes", "an image that declares 65 MiB",
         lambda: _one(stored=deflate(PNG), method=DEFLATED, size=65 * MIB), LIMIT, limit_name="image_bytes",
         member="cat/x.png"),
    case("zip-empty", "a zip of nothing", lambda: raw_zip([]), "no_images"),
    case("zip-of-folders", "a zip of empty folders", lambda: raw_zip([Entry(name=b"cat/"), Entry(name=b"dog/")]),
         "no_images"),
    case("zip-of-empty-files", "a zip of empty files",
         lambda: raw_zip([Entry(name=b"cat/0.png", method=STORED), Entry(name=b"dog/0.png")]),
         "unrecognised_format"),
)  # fmt: skip
