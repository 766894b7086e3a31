"""One input through everything that reads an upload, up to the canonical pixels; nothing is written."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from core.data.canonical.decode import UndecodableImage, decode, read_header
from core.data.canonical.pixels import square_batches
from core.data.canonical.sizing import choose_size
from core.data.canonical.splits import assign
from core.data.containers.archive import Archive
from core.data.containers.opening import open_source
from core.data.detect import read_archive
from core.data.limits import Limits
from core.errors import CondenseryError, DataError

#: As delivered, but for the pixels of one image: they cost time and memory in proportion, and nothing else.
LIMITS = Limits(image_pixels=512 * 512)


class Read(Protocol):
    """A way to read an input."""

    def __call__(self, path: Path, work: Path, *, single_image: bool) -> str: ...


def outcome(path: Path, work: Path, *, single_image: bool) -> str:
    """ "accepted", or the code of the refusal.

    Raises:
        Exception: anything else that came out of reading; a finding.
    """
    try:
        if single_image:
            return _read_image(path)
        _read_upload(path, work)
    except CondenseryError as error:
        return error.code
    return "accepted"


def _read_image(path: Path) -> str:
    data = path.read_bytes()
    try:
        header = read_header(data, name="image", limits=LIMITS)
        channels = 1 if header.grey else 3
        image = decode(data, name="image", image_size=32, channels=channels, limits=LIMITS)
    except UndecodableImage as error:
        return str(error)
    assert image.shape == (32, 32, channels) and image.dtype == np.uint8
    return "accepted"


def _read_upload(path: Path, work: Path) -> None:
    with open_source(path, work, LIMITS) as archive:
        _read_members(archive)
        source = read_archive(archive, LIMITS)
        assert len(source.labels_N) == len(source.splits_N) == len(source.sizes_N2)
        assignment = assign(source, seed=0, limits=LIMITS)
        size = choose_size(source.sizes_N2, None).image_size
        for rows in (assignment.train_rows, assignment.test_rows):
            drawn = 0
            for batch in square_batches(
                source, rows, image_size=size, channels=source.channels, limits=LIMITS
            ):
                drawn += batch.drawn
                labels = assignment.new_label[source.labels_N[batch.rows]]
                assert batch.images_NHWC.shape == (len(labels), size, size, source.channels)
                assert batch.images_NHWC.dtype == np.uint8
                assert not len(labels) or 0 <= labels.min() <= labels.max() < len(assignment.classes)
            assert drawn <= len(rows)


def _read_members(archive: Archive) -> None:
    # A reader may leave members out that another one would read.
    for member in archive.members:
        with suppress(DataError):
            assert sum(map(len, archive.chunks(member))) == member.size
