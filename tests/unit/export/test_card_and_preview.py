"""The README tells the truth and its code runs; the preview shows each image in its place."""

import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from core.export.artifacts import write_all
from core.export.card import readme
from core.export.condensed import CondensedSet
from core.export.preview import GAP, WHITE, cell_size
from tests.unit.export.conftest import EMPTY, MAKE, card


def test_the_code_in_the_readme_loads_each_format(
    make: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = make(labels_N=np.resize(np.arange(11), 20), classes=tuple("abcdefghijk"))
    write_all(full, tmp_path)
    with ZipFile(tmp_path / "condensed-png.zip") as archive:
        archive.extractall(tmp_path / "condensed-png")
        text = archive.read("README.md").decode()
    assert text == readme(full)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^(\w+):\n\n```python\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["safetensors", "npz", "pt", "png"]
    for name, code in blocks:
        assert len(code.splitlines()) == 3
        found: dict[str, Any] = {}
        exec(code, found)
        if name == "png":
            assert found["image"].size == (6, 8) and found["label"] == 0
        else:
            assert np.asarray(found["images"]).tobytes() == full.images_NCHW.tobytes()
            assert np.asarray(found["labels"]).tolist() == full.labels_N.tolist()


def test_the_readme_states_results_source_and_loss(condensed: CondensedSet) -> None:
    text = readme(condensed)
    assert "| condensed set | ConvNet-3-128 | 48.91 ± 0.62 | 20 |" in text
    assert "| random real | ConvNet-3-128 | 26.00 | 1 |" in text
    assert "Protocol: 1000 epochs, last epoch" in text
    assert "ab" * 32 in text
    assert "- Evaluated on 32 px only.\n" in text
    assert f"{100 * condensed.clamped_fraction():.2f} % of the values" in text
    assert "1 of the classes have no image" in text
    assert ("turns grey images into RGB" in text) == (condensed.images_NCHW.shape[1] == 1)


def test_a_set_without_evaluation_says_so(make: MAKE) -> None:
    unevaluated = card()
    unevaluated["evaluation"]["results"] = []
    assert "## Results\n\nNot evaluated.\n" in readme(make(card=unevaluated))


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
    levels = condensed.pixels_uint8_NHWC()
    for label in range(11):
        top = GAP + label * (height + GAP)
        row = grid[top : top + height]
        if label == EMPTY:
            assert (row == WHITE).all()
            continue
        for column, index in enumerate(np.flatnonzero(condensed.labels_N == label)):
            left = GAP + column * (width + GAP)
            cell = row[:, left : left + width]
            crisp = levels[index].repeat(8, axis=0).repeat(8, axis=1)
            assert (cell == crisp.reshape(cell.shape)).all()


def test_the_preview_stops_at_100_classes_and_10_images(make: MAKE, tmp_path: Path) -> None:
    labels = np.repeat(np.arange(101), 11)
    images = np.zeros((len(labels), 1, 64, 64), np.float32)
    names = tuple(f"class {i}" for i in range(101))
    write_all(make(channels=1, images_NCHW=images, labels_N=labels, classes=names), tmp_path)
    with Image.open(tmp_path / "preview.png") as image:
        assert image.size == (10 * 66 + GAP, 100 * 66 + GAP)


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
