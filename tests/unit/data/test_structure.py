"""Containers and pickles of any structure: read as they are, or refused by a code."""

import io
import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.data.containers.inflate import gunzip, unxz, unzstd
from core.data.containers.members import check_members, safe_name
from core.data.containers.tar_headers import list_tar
from core.data.containers.zip_directory import list_zip
from core.data.formats.plain_pickle import PickledArray, load_plain
from core.data.limits import Limits
from core.errors import DataError
from tests.data.raw_zip import DEFLATED, STORED, Entry, raw_zip
from tests.data.tars import END, header, member
from tests.fuzz.mutate import BOUNDARIES
from tests.fuzz.seeds import PICKLE_WORDS

QUICK = settings(max_examples=300, deadline=None)
NAMES = st.one_of(
    st.sampled_from([b"a/0.png", b"A/0.png", b"../x", b"/x", b"a\0b", b"", b"d/", b"\xff\xfe", b"a\\b"]),
    st.binary(max_size=40),
)
KINDS = st.sampled_from([b"0", b"0", b"5", b"L", b"x", b"g", b"2"])
NUMBERS = st.one_of(st.sampled_from(BOUNDARIES), st.integers(0, 2**64 - 1))
LONGS = NUMBERS.map(lambda value: value % 2**32)
SHORTS = NUMBERS.map(lambda value: value % 2**16)


def _maybe(values: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.none(), values)


ZIP64 = NUMBERS.map(lambda size: b"\1\0\x08\0" + size.to_bytes(8, "little"))
ENTRIES = st.builds(
    Entry,
    name=NAMES,
    stored=st.binary(max_size=60),
    method=st.sampled_from([STORED, STORED, DEFLATED, 12, 99]),
    size=_maybe(LONGS),
    crc=_maybe(LONGS),
    stored_size=_maybe(LONGS),
    flags=st.sampled_from([0, 0x800, 0x800, 1]),
    mode=st.sampled_from([0, 0, 0o100644, 0o120777, 0o040755]),
    extra=st.one_of(st.just(b""), st.binary(max_size=30), ZIP64),
    offset=_maybe(LONGS),
    shares=st.booleans(),
)


@QUICK
@given(st.lists(ENTRIES, max_size=4), _maybe(SHORTS), _maybe(LONGS), _maybe(LONGS), st.binary(max_size=60))
def test_members_of_any_zip_lie_apart_and_inside_it(
    entries: list[Entry], count: int | None, size: int | None, at: int | None, before_end: bytes
) -> None:
    data = raw_zip(entries, count=count, directory_bytes=size, directory_at=at, before_end=before_end)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            members = list_zip(file, Limits())
            check_members(members, Limits())
        except DataError:
            return
    _lie_apart([(one.offset, one.stored_bytes) for one in members], len(data))
    assert all(one.name == safe_name(one.name, Limits()) != "" for one in members)


@QUICK
@given(
    st.lists(
        st.one_of(
            st.builds(member, NAMES, st.binary(max_size=600), KINDS),
            st.builds(header, NAMES, st.one_of(LONGS, st.binary(min_size=12, max_size=12))),
            st.binary(max_size=600),
        ),
        max_size=5,
    )
)
def test_members_of_any_tar_lie_apart_and_inside_it(parts: list[bytes]) -> None:
    data = b"".join(parts) + END
    try:
        members = list_tar(io.BytesIO(data), Limits())
        check_members(members, Limits())
    except DataError:
        return
    _lie_apart([(one.offset, one.stored_bytes) for one in members], len(data))
    assert all(one.name == safe_name(one.name, Limits()) != "" for one in members)


def _lie_apart(ranges: list[tuple[int, int]], length: int) -> None:
    end = 0
    for start, count in sorted(ranges):
        assert start >= end
        end = start + count
    assert end <= length


ARRAYS = st.builds(
    lambda shape, kind: np.arange(int(np.prod(shape))).astype(kind).reshape(shape),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.sampled_from(["|u1", "<i8", ">u2", "<i4"]),
)
# Protocol 2 writes empty bytes as a call of bytes(), which is refused as every other call is.
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.text(max_size=9),
        st.binary(min_size=1, max_size=9),
        ARRAYS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=5), st.binary(min_size=1, max_size=5)), inner, max_size=4),
    ),
    max_leaves=12,
)


@QUICK
@given(PLAIN, st.sampled_from([2, 3, 4]))
def test_plain_data_comes_back_from_a_pickle(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    _same(load_plain(data, limits=Limits(), member="m"), value)


def _same(read: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        assert isinstance(read, PickledArray) and read.array is not None
        array: NDArray[Any] = read.array
        assert array.dtype == value.dtype
        np.testing.assert_array_equal(array, value)
        return
    assert type(read) is type(value)
    if isinstance(value, dict):
        assert list(read) == list(value)
        read, value = list(read.values()), list(value.values())
    if isinstance(value, list | tuple):
        assert len(read) == len(value)
        for one, other in zip(read, value, strict=True):
            _same(one, other)
    else:
        assert read == value


@QUICK
@given(st.lists(st.one_of(st.sampled_from(PICKLE_WORDS), st.binary(min_size=1, max_size=3)), max_size=40))
def test_any_instructions_of_a_pickle_give_plain_data_or_a_data_error(words: list[bytes]) -> None:
    try:
        load_plain(b"\x80\x02" + b"".join(words) + b".", limits=Limits(), member="m")
    except DataError as error:
        assert error.code in ("unsafe_pickle", "corrupt_pickle", "limit_exceeded")
        assert error.context["member"] == "m"


@QUICK
@given(
    st.sampled_from([(gunzip, b"\x1f\x8b\x08"), (unxz, b"\xfd7zXZ\0"), (unzstd, b"\x28\xb5\x2f\xfd")]),
    st.lists(st.binary(min_size=1, max_size=40), max_size=4),
)
def test_compressed_bytes_of_any_kind_expand_or_give_a_data_error(kind: Any, chunks: list[bytes]) -> None:
    expand, magic = kind
    expanded: Iterator[bytes] = expand([magic, *chunks], "m")
    try:
        assert all(isinstance(chunk, bytes) for chunk in expanded)
    except DataError as error:
        # The last one is the window that Zstandard asks for.
        assert error.code in ("truncated_archive", "corrupt_archive", "limit_exceeded")


@QUICK
@given(st.text(max_size=60))
def test_a_name_in_normal_form_stays_as_it_is(raw: str) -> None:
    try:
        name = safe_name(raw, Limits())
    except DataError as error:
        assert error.code in ("unsafe_member_name", "limit_exceeded")
    else:
        assert safe_name(name, Limits()) == name
        assert ".." not in name.split("/") and not name.startswith("/")
