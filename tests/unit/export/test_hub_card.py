"""The front matter is YAML that says what is so, whatever the names hold."""

from typing import Any

import numpy as np
import pytest
import yaml

from core.export.hub_card import hub_readme
from core.export.parquet import features
from tests.unit.export.conftest import MAKE, card

AWKWARD = (
    "yes",
    "null",
    "a: b # c",
    '"quoted" \\ back',
    "- 1",
    "\t\x85\u2028\ufeff|\x7f",
    "猫 😀",
    "---",
    "",
    " x ",
)


def front_matter(text: str) -> dict[str, Any]:
    empty, matter, _rest = text.split("---\n", 2)
    assert empty == ""
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def test_it_describes_the_columns(make: MAKE) -> None:
    condensed = make(channels=4, labels_N=np.arange(20) % 10, classes=AWKWARD)
    found = front_matter(hub_readme(condensed, features(condensed)))
    image, label, pixels = found["dataset_info"]["features"]
    assert image == {"name": "image", "dtype": "image"}
    assert label["dtype"]["class_label"]["names"] == {str(n): name for n, name in enumerate(AWKWARD)}
    assert pixels["dtype"]["array3_d"] == {"shape": [4, 8, 6], "dtype": "float32"}
    assert found["task_categories"] == ["image-classification"]
    assert found["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert found["pretty_name"] == "Condensed set of cifar | 10"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (None, {"license": "unknown"}),
        ("mit", {"license": "mit"}),
        ("CC BY-NC 4.0", {"license": "cc-by-nc-4.0"}),
        ("ours: ask\n- first", {"license": "other", "license_name": "ours: ask\n- first"}),
    ],
)
def test_the_hub_knows_the_licence_or_gets_its_name(
    make: MAKE, stated: str | None, expected: dict[str, str]
) -> None:
    licensed = card()
    licensed["source"]["license"] = stated
    condensed = make(card=licensed)
    found = front_matter(hub_readme(condensed, features(condensed)))
    assert {name: value for name, value in found.items() if name.startswith("license")} == expected


@pytest.mark.parametrize(("count", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K")])
def test_sizes_are_the_hubs(make: MAKE, count: int, size: str) -> None:
    condensed = make(
        channels=1, images_NCHW=np.zeros((count, 1, 2, 2), np.float32), labels_N=np.zeros(count, np.int64)
    )
    assert front_matter(hub_readme(condensed, features(condensed)))["size_categories"] == [size]
