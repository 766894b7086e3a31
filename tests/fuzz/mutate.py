"""Edits of bytes that know nothing of their format, but for the words that mean something in it."""

from collections.abc import Callable, Sequence
from random import Random

BOUNDARIES = (
    *(0, 1, 2, 3, 4, 7, 16, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 100_000),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1),
)
#: Headers and footers decide the most, so half of the edits go there.
EDGE_BYTES = 160

Edit = Callable[[Random, bytes], bytes]


def position(rng: Random, length: int) -> int:
    """A place in that many bytes: at the front, at the end, or anywhere."""
    if not length:
        return 0
    edge = min(EDGE_BYTES, length)
    where = rng.random()
    if where < 0.4:
        return rng.randrange(edge)
    if where < 0.5:
        return length - 1 - rng.randrange(edge)
    return rng.randrange(length)


def number(rng: Random, width: int) -> bytes:
    """A number that lies at a boundary, or beside one, in either byte order."""
    value = (rng.choice(BOUNDARIES) + rng.choice((0, 0, -1, 1))) % (1 << 8 * width)
    return value.to_bytes(width, rng.choice(("little", "big")))


def _flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[position(rng, len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(rng: Random, data: bytes) -> bytes:
    at = position(rng, len(data))
    new = rng.randbytes(rng.choice((1, 1, 2, 4, 16)))
    return data[:at] + new + data[at + len(new) :]


def _boundary(rng: Random, data: bytes) -> bytes:
    at, new = position(rng, len(data)), number(rng, rng.choice((1, 2, 4, 4, 8)))
    return data[:at] + new + data[at + len(new) :]


def _truncate(rng: Random, data: bytes) -> bytes:
    return data[: position(rng, len(data))]


def _delete(rng: Random, data: bytes) -> bytes:
    at = position(rng, len(data))
    return data[:at] + data[at + rng.choice((1, 2, 4, 30, 512)) :]


def _copy(rng: Random, data: bytes) -> bytes:
    start, at = position(rng, len(data)), position(rng, len(data))
    block = data[start : start + rng.choice((1, 4, 46, 512, 4096))] * rng.choice((1, 1, 2, 50))
    return data[:at] + block + data[at + rng.choice((0, len(block))) :]


def _append(rng: Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0", b"\0" * 512, b"\xff" * 4, rng.randbytes(20)))


BLIND: tuple[Edit, ...] = (_flip, _flip, _overwrite, _boundary, _boundary, _truncate, _delete, _copy, _append)


def mutate(rng: Random, data: bytes, words: Sequence[bytes], other: bytes) -> bytes:
    """One to four edits, with the format's words, and with parts of another seed."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.random()
        at = position(rng, len(data))
        if how < 0.15 and words:
            word = rng.choice(words)
            data = data[:at] + word + data[at + rng.choice((0, len(word))) :]
        elif how < 0.22:
            data = data[:at] + other[position(rng, len(other)) :]
        else:
            data = rng.choice(BLIND)(rng, data)
    return data
