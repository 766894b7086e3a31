"""The README tells the truth and its code runs; the preview shows each image in its place."""

import re
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from core.export.artifacts import write_all
from core.export.card import readme
from core.export.condensed import CondensedSet
from core.export.preview import GAP, WHITE, cell_size, grid, shown
from tests.unit.export.conftest import EMPTY, MAKE, build_collages, card


def test_the_archives_carry_the_card(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    text = readme(condensed)
    with ZipFile(tmp_path / "condensed-png.zip") as archive:
        assert archive.read("README.md").decode() == text
    with ZipFile(tmp_path / "condensed-parquet.zip") as archive:
        assert archive.read("README.md").decode().endswith(f"\n---\n\n{text}")
    with tarfile.open(tmp_path / "condensed-webdataset.tar") as tar:
        member = tar.extractfile("__README__")
        assert member is not None and member.read().decode() == text


def test_the_readme_states_results_source_and_loss(condensed: CondensedSet) -> None:
    text = readme(condensed)
    assert "| condensed set | ConvNet-3-128 | 48.91 ± 0.62 | 20 |" in text
    assert "| random real | ConvNet-3-128 | 26.00 | 1 |" in text
    assert "Protocol: 1000 epochs, last epoch" in text
    assert "ab" * 32 in text
    assert "- Evaluated on 32 px only.\n" in text
    assert f"{100 * condensed.clamped_fraction():.2f} % of the values" in text
    assert "1 of the classes have no image" in text
    assert "Licence: CC BY 4.0." in text
    assert "takes 8,240,000,000,000 FLOPs, 412,000,000 an iteration" in text
    channels = condensed.images_NCHW.shape[1]
    assert ("turns grey images into RGB" in text) == (channels == 1)
    assert ("drops their fourth channel" in text) == (channels == 4)


def test_a_set_without_evaluation_says_so(make: MAKE) -> None:
    unevaluated = card()
    unevaluated["evaluation"]["results"] = []
    assert "## Results\n\nNot evaluated.\n" in readme(make(card=unevaluated))


def test_a_licence_that_is_not_stated_is_not_made_up(make: MAKE) -> None:
    silent = card()
    silent["source"]["license"] = None
    assert "Licence: not stated." in readme(make(card=silent))


def test_text_from_users_forms_no_markup(make: MAKE) -> None:
    hostile = card()
    hostile["source"]["name"] = "x\n\n# Owned <script>alert(1)</script> [a](javascript:b) ![](c) | `d`"
    hostile["config"]["note"] = "```\n# Owned"
    text = readme(make(card=hostile))
    assert r"# Condensed set of x \# Owned \<script\>alert(1)\</script\> \[a\](javascript:b)" in text
    outside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "\n# Owned" not in outside and "<script>" not in outside.replace(r"\<", "")


def test_the_preview_has_a_row_a_class_and_a_column_an_image(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    with Image.open(tmp_path / "preview.png") as image:
        grid = np.asarray(image)
    height, width = 64, 48  # 8 × 6, eight times enlarged
    assert grid.shape[:2] == (11 * (height + GAP) + GAP, 2 * (width + GAP) + GAP)
    assert (grid[:GAP] == WHITE).all() and (grid[:, :GAP] == WHITE).all()
    stored = condensed.as_stored()
    levels = stored.pixels_uint8_NHWC()
    if levels.shape[3] == 4:
        on_white = [
            Image.alpha_composite(Image.new("RGBA", (6, 8), "white"), Image.fromarray(x)) for x in levels
        ]
        levels = np.stack([np.asarray(image.convert("RGB")) for image in on_white])
    for label in range(11):
        top = GAP + label * (height + GAP)
        row = grid[top : top + height]
        if label == EMPTY:
            assert (row == WHITE).all()
            continue
        for column, index in enumerate(np.flatnonzero(stored.labels_N == label)):
            left = GAP + column * (width + GAP)
            cell = row[:, left : left + width]
            crisp = levels[index].repeat(8, axis=0).repeat(8, axis=1)
            # Pillow's blending rounds in its own way.
            off = np.abs(cell.astype(int) - crisp.reshape(cell.shape)).max()
            assert off <= (1 if condensed.images_NCHW.shape[1] == 4 else 0)


def test_the_preview_stops_at_100_classes_and_10_images(make: MAKE, tmp_path: Path) -> None:
    labels = np.repeat(np.arange(101), 11)
    images = np.zeros((len(labels), 1, 64, 64), np.float32)
    names = tuple(f"class {i}" for i in range(101))
    write_all(make(channels=1, images_NCHW=images, labels_N=labels, classes=names), tmp_path)
    with Image.open(tmp_path / "preview.png") as image:
        assert image.size == (10 * 66 + GAP, 100 * 66 + GAP)


def test_a_picture_of_the_images_that_it_shows_is_that_of_all() -> None:
    labels_N = np.repeat(np.delete(np.arange(120), 7), 13)
    levels_NHWC = np.random.default_rng(0).integers(0, 256, (len(labels_N), 8, 8, 1), dtype=np.uint8)
    rows_S = shown(labels_N)
    assert len(rows_S) == 99 * 10
    picture = grid(levels_NHWC[rows_S], labels_N[rows_S], 120)
    assert picture.tobytes() == grid(levels_NHWC, labels_N, 120).tobytes()


@pytest.mark.parametrize(
    ("size", "cell"),
    [
        ((28, 28), (56, 56)),
        ((32, 32), (64, 64)),
        ((100, 100), (100, 100)),
        ((512, 256), (128, 64)),
        ((9, 900), (1, 128)),
    ],
)
def test_cells_grow_by_whole_factors_and_large_ones_shrink(
    size: tuple[int, int], cell: tuple[int, int]
) -> None:
    assert cell_size(*size) == cell


def test_what_the_networks_of_a_pool_took_is_said_only_where_there_is_one(make: MAKE) -> None:
    plain = card()
    pooled = plain | {"compute": {**plain["compute"], "pool_flops": 5_000_000}}
    assert "The networks that it matches in take 5,000,000 to train, once." in readme(make(card=pooled))
    assert "to train, once" not in readme(make(card=plain))


def test_collages_are_counted_both_ways_and_the_card_says_how_to_decode_them() -> None:
    text = readme(build_collages(3))
    assert "180 synthetic images for 11 classes, 0 to 18 a class" in text
    assert "decoded from 20 stored ones, 0 to 2 a class, each a collage of 3 × 3, made by" in text
    assert "Here f is 3." in text and "bilinearly (align_corners False, no antialias)" in text
