"""The picture of a data set."""

import numpy as np
import pytest

from core.data.canonical.preview import GAP, SAMPLES, cell_side, draw_preview
from core.export.preview import cell_size


@pytest.mark.parametrize("side", [8, 16, 28, 32, 33, 48, 64, 96, 128, 129, 224, 512])
def test_its_cells_are_as_large_as_those_of_condensed_sets(side: int) -> None:
    """Both are shown side by side."""
    assert (cell_side(side), cell_side(side)) == cell_size(side, side)


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    image_HWC = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    picture = draw_preview(image_HWC[None], np.zeros(1, np.int64), classes=1)
    assert picture.size == (SAMPLES * (64 + GAP) + GAP, 64 + 2 * GAP)
    cell = np.asarray(picture)[GAP : GAP + 64, GAP : GAP + 64]
    np.testing.assert_array_equal(cell, image_HWC.repeat(4, axis=0).repeat(4, axis=1))


def test_large_images_are_reduced_by_averaging() -> None:
    """Twenty classes of photographs would otherwise be a picture of tens of megabytes."""
    stripes_NHWC = np.zeros((1, 256, 256, 1), np.uint8)
    stripes_NHWC[:, :, ::2] = 200
    picture = draw_preview(stripes_NHWC, np.zeros(1, np.int64), classes=1)
    assert picture.size == (SAMPLES * (128 + GAP) + GAP, 128 + 2 * GAP)
    assert set(np.unique(np.asarray(picture)[GAP : GAP + 128, GAP : GAP + 128])) == {100}


def test_classes_have_a_row_each_whether_or_not_they_have_images() -> None:
    images_NHWC = np.stack([np.full((64, 64, 1), level, np.uint8) for level in (10, 20)])
    picture = np.asarray(draw_preview(images_NHWC, np.array([0, 2]), classes=3))
    rows = [picture[GAP + row * (64 + GAP) + 32, GAP + 32] for row in range(3)]
    assert rows == [10, 255, 20]
