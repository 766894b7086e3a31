"""Which files of a folder are sent: none is lost because it is reached by a link."""

import os
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from condensery.client.packing import packed


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("rose/a.png", "tulip/b.png", "tulip/wild/c.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "images"


def sent(folder: Path) -> dict[str, bytes]:
    with packed(folder) as (file, _), ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_subset_of_linked_class_folders_has_all_its_classes(images: Path, tmp_path: Path) -> None:
    subset = tmp_path / "subset"
    (subset / "rose").mkdir(parents=True)
    (subset / "rose" / "z.png").symlink_to(images / "rose" / "a.png")
    (subset / "tulip").symlink_to(images / "tulip", target_is_directory=True)
    (subset / "wild").symlink_to(Path("..") / "images" / "tulip" / "wild")
    (subset / ".old").symlink_to(images / "rose")
    assert sent(subset) == {
        "rose/z.png": b"rose/a.png",
        "tulip/b.png": b"tulip/b.png",
        "tulip/wild/c.png": b"tulip/wild/c.png",
        "wild/c.png": b"tulip/wild/c.png",
    }


def test_a_folder_itself_may_be_a_link(images: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(images)
    assert sent(tmp_path / "linked") == sent(images)


def test_a_link_to_a_folder_that_it_lies_in_leads_nowhere(images: Path, tmp_path: Path) -> None:
    before = sent(images)
    (images / "all").symlink_to(images)
    (images / "tulip" / "wild" / "up").symlink_to(Path("..") / ".." / "tulip")
    (tmp_path / "linked").symlink_to(images)
    (images / "rose" / "round").symlink_to(tmp_path / "linked")
    assert sent(images) == before
    assert sent(tmp_path / "linked") == before


def test_a_folder_that_cannot_be_read_is_named(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "rose":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="rose"):
        sent(images)
