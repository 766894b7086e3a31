"""CONTRIBUTING.md leads to places that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def paths() -> set[str]:
    """Every word with a slash in it."""
    found = {one.rstrip("./,;:") for one in re.findall(r"(?<![\w./-])[\w-]+/[\w./-]*", PAGE)}
    return {one for one in found if "NAME" not in one}


def test_paths_are_found() -> None:
    assert {
        "core/work/transitions.py",
        "docs/data.md",
        "tests/fuzz/seeds.py",
        "bench/accuracy",
        "examples",
    } <= paths()


@pytest.mark.parametrize("path", sorted(paths()))
def test_every_path_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("placeholder", sorted(set(re.findall(r"`([\w/]+NAME\.py)`", PAGE))))
def test_every_place_for_a_new_file_has_others(placeholder: str) -> None:
    assert list(ROOT.glob(placeholder.replace("NAME", "[a-z]*")))
