"""Bounded, streaming decompression: deflate, gzip, xz and Zstandard."""

import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator

import zstandard

from core.data.limits import Limits, check_limit
from core.errors import DataError

STEP = 1024**2
XZ_MEMORY_BYTES = 256 * 1024**2
#: What `zstd` itself expands without being asked for more (--ultra goes further).
ZSTD_WINDOW_BYTES = 128 * 1024**2
#: Its output has no bound of its own: a block of 3 bytes may hold 128 KiB, so this much input at most 43 MiB.
ZSTD_STEP = 1024
GZIP_MAGIC = b"\x1f\x8b"
XZ_MAGIC = b"\xfd7zXZ\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: A frame that holds no data; some parallel compressors begin with one.
ZSTD_SKIPPABLE_MAGIC = tuple(bytes([0x50 + kind]) + b"\x2a\x4d\x18" for kind in range(16))


def truncated(what: str) -> DataError:
    return DataError(f"{what} is cut short", code="truncated_archive", member=what)


def inflate_raw(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Expand one raw deflate stream (a zip member)."""
    return _inflate_zlib(chunks, -zlib.MAX_WBITS, what)


def gunzip(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Expand gzip, also of several members one after the other, also with zero padding."""
    return _inflate_zlib(chunks, zlib.MAX_WBITS + 16, what)


def _inflate_zlib(chunks: Iterable[bytes], wbits: int, what: str) -> Iterator[bytes]:
    engine = zlib.decompressobj(wbits)
    try:
        for chunk in chunks:
            pending = chunk
            while pending:
                if engine.eof:
                    pending = pending.lstrip(b"\0")
                    if not pending:
                        break
                    engine = zlib.decompressobj(wbits)
                yield engine.decompress(pending, STEP)
                pending = engine.unused_data if engine.eof else engine.unconsumed_tail
        while not engine.eof:
            # All input is consumed, but a bounded call may have left output inside the engine.
            rest = engine.decompress(b"", STEP)
            if not rest:
                raise truncated(what)
            yield rest
    except zlib.error as error:
        raise DataError(f"{what} is corrupt: {error}", code="corrupt_archive", member=what) from error


def unxz(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Expand xz, also of several streams one after the other."""
    engine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
    try:
        for chunk in chunks:
            pending = chunk
            while pending or not (engine.eof or engine.needs_input):
                if engine.eof:
                    pending = pending.lstrip(b"\0")
                    if not pending:
                        break
                    engine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
                yield engine.decompress(pending, STEP)
                pending = engine.unused_data if engine.eof else b""
    except lzma.LZMAError as error:
        raise DataError(f"{what} is corrupt: {error}", code="corrupt_archive", member=what) from error
    if not engine.eof:
        raise truncated(what)


def unzstd(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Expand Zstandard, also of several frames one after the other, also with skippable ones."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    engine = decompressor.decompressobj()
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), ZSTD_STEP):
                pending = chunk[start : start + ZSTD_STEP]
                while pending:
                    if engine.eof:
                        engine = decompressor.decompressobj()
                    yield engine.decompress(pending)
                    pending = engine.unused_data if engine.eof else b""
    except zstandard.ZstdError as error:
        if "too much memory" in str(error):
            raise DataError(
                f"{what} needs a window of more than {ZSTD_WINDOW_BYTES:,} bytes: compress it without --long",
                code="limit_exceeded",
                limit_name="zstd_window_bytes",
                limit=ZSTD_WINDOW_BYTES,
                member=what,
            ) from error
        raise DataError(f"{what} is corrupt: {error}", code="corrupt_archive", member=what) from error
    if not engine.eof:
        raise truncated(what)


Expand = Callable[[Iterable[bytes], str], Iterator[bytes]]
#: How a compressed stream begins, what it is called, how it is expanded.
COMPRESSIONS: tuple[tuple[tuple[bytes, ...], str, Expand], ...] = (
    ((GZIP_MAGIC,), "gz", gunzip),
    ((XZ_MAGIC,), "xz", unxz),
    ((ZSTD_MAGIC, *ZSTD_SKIPPABLE_MAGIC), "zst", unzstd),
)


def bounded(
    chunks: Iterable[bytes], *, stored_bytes: int, limit_name: str, limits: Limits, what: str
) -> Iterator[bytes]:
    """Pass chunks on while their sum stays under the named limit and under the ratio to `stored_bytes`."""
    most: int = getattr(limits, limit_name)
    count = 0
    for chunk in chunks:
        count += len(chunk)
        check_limit(limit_name, count, most, what)
        check_ratio(count, stored_bytes=stored_bytes, limits=limits, what=what)
        yield chunk


def check_ratio(count: int, *, stored_bytes: int, limits: Limits, what: str) -> None:
    """Raise `limit_exceeded` if so few stored bytes may not expand to `count`."""
    most = max(limits.ratio_floor_bytes, limits.ratio * stored_bytes)
    if count > most:
        raise DataError(
            f"{what!r} expands from {stored_bytes:,} bytes to more than {most:,}: the limit is a ratio of "
            f"{limits.ratio}",
            code="limit_exceeded",
            limit_name="ratio",
            value=count,
            limit=most,
            member=what,
        )


class ByteStream:
    """Reads an exact number of bytes at a time from an iterator of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end."""
        parts, have = [self._rest], len(self._rest)
        while have < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        joined = b"".join(parts)
        self._rest = joined[count:]
        return joined[:count]
