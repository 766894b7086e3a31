"""Edits of Parquet that know its structures: one thing is changed, and what lies around it is made to fit."""

import copy
from random import Random
from typing import Any

from tests.data import thrift
from tests.data.raw_parquet import (
    DATA_PAGE_2,
    KEY_VALUES,
    PAGE_COMPRESSED,
    PAGE_CRC,
    PAGE_UNCOMPRESSED,
    Page,
    Parquet,
    lay_out,
    take_apart,
    with_footer,
)
from tests.data.thrift import Items, Struct
from tests.fuzz.mutate import BOUNDARIES, mutate

WORDS = (
    *(b"PAR1", b"PARE", b"huggingface", b"ARROW:schema", b"ClassLabel", b'"names"', b"bytes", b"image"),
    *(b"\x15\x00", b"\x15\x02", b"\x15\x04", b"\x15\x06", b"\x2c", b"\x5c", b"\x7c", b"\x19", b"\x1c"),
    *(b"\x15\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\x18\x80\x80\x80\x40", b"label", b"\x00"),
)
#: What a leaf of a tree is in: a struct's field or a list, and its place there.
Place = tuple[Struct | Items, int]


def parquet_parts(rng: Random, data: bytes) -> bytes:
    """A page header, a page, or a field of the footer changed; sizes and offsets are mended around it."""
    try:
        return _edited(rng, take_apart(data))
    except Exception:  # edited before, so that it no longer is what it says
        return data


def _edited(rng: Random, parts: Parquet) -> bytes:
    how = rng.random()
    pages = [page for chunk in parts.chunks for page in chunk]
    if how < 0.3 and pages:
        _edit_tree(rng, rng.choice(pages).header)
    elif how < 0.5 and pages:
        _edit_page(rng, rng.choice(pages))
    elif how < 0.6:
        _shuffle_pages(rng, parts)
    elif how < 0.7 and KEY_VALUES in parts.footer:
        for pair in parts.footer[KEY_VALUES].values:
            pair[2] = mutate(rng, pair[2], WORDS, pair[1])
    laid = lay_out(parts)
    if how >= 0.7:
        for _ in range(rng.choice((1, 1, 1, 2))):
            _edit_tree(rng, parts.footer)
    footer = thrift.write(parts.footer)
    if rng.random() < 0.1:
        footer = mutate(rng, footer, WORDS, footer)
    length = rng.choice(BOUNDARIES) % 2**32 if rng.random() < 0.02 else None
    return with_footer(laid, footer, length)


def _edit_page(rng: Random, page: Page) -> None:
    """The page's bytes, and its sizes as far as they were honest."""
    header, stored = page.header, page.header[PAGE_COMPRESSED] == page.header[PAGE_UNCOMPRESSED]
    page.body = mutate(rng, page.body, WORDS, page.body)
    header[PAGE_COMPRESSED] = len(page.body)
    if stored or DATA_PAGE_2 in header:
        header[PAGE_UNCOMPRESSED] = len(page.body)
    header.drop(PAGE_CRC)


def _shuffle_pages(rng: Random, parts: Parquet) -> None:
    """A page left out, doubled, or put into any column."""
    chunk, other = rng.choice(parts.chunks), rng.choice(parts.chunks)
    if not chunk:
        return
    page = rng.choice(chunk)
    if rng.random() < 0.3:
        chunk.remove(page)
    else:
        other.insert(rng.randrange(len(other) + 1), copy.deepcopy(page))


def _edit_tree(rng: Random, tree: Struct) -> None:
    places = list(_places(tree))
    if not places:
        return
    parent, at = rng.choice(places)
    if isinstance(parent, Items):
        _edit_list(rng, parent, at)
        return
    number, kind, value = parent.fields[at]
    how = rng.random()
    if how < 0.08:
        del parent.fields[at]
    elif how < 0.16:
        # Again, with another value: readers differ in which one they take.
        parent.fields.insert(at + 1, [number, kind, _changed(rng, kind, value)])
    elif how < 0.22:
        parent.fields[at][0] = number + rng.choice((1, -1, 65536, -65536))
    else:
        parent.fields[at][2] = _changed(rng, kind, value)


def _edit_list(rng: Random, items: Items, at: int) -> None:
    how = rng.random()
    if how < 0.2:
        del items.values[at]
    elif how < 0.4:
        items.values[at:at] = [copy.deepcopy(items.values[at])] * rng.choice((1, 1, 3, 2000))
    elif how < 0.55:
        items.count = rng.choice(BOUNDARIES) % 2**40
    elif how < 0.7:
        items.values[at] = copy.deepcopy(rng.choice(items.values))
    else:
        items.values[at] = _changed(rng, items.kind, items.values[at])


def _changed(rng: Random, kind: int, value: Any) -> Any:
    if kind in (thrift.TRUE, thrift.FALSE):
        return not value
    if kind in thrift.INTEGERS:
        near = value + rng.choice((-1, 1, 1, 2, 100))
        far = (rng.choice(BOUNDARIES) + rng.choice((0, 0, -1, 1))) * rng.choice((1, 1, 1, -1))
        return rng.choice((near, far, far, rng.randrange(12)))
    if kind in (thrift.BINARY, thrift.BYTE, thrift.DOUBLE):
        new = mutate(rng, value, WORDS, value)
        return new if kind == thrift.BINARY else new[: len(value)].ljust(len(value), b"\0")
    return value


def _places(tree: Struct | Items) -> list[Place]:
    found: list[Place] = []
    values = [one[2] for one in tree.fields] if isinstance(tree, Struct) else tree.values
    for at, value in enumerate(values):
        found.append((tree, at))
        if isinstance(value, Struct | Items):
            found.extend(_places(value))
    return found
