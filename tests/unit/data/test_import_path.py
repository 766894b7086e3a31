"""Which paths on the server's disk may be read, and what a refusal gives away."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.data.import_path import resolve_import
from core.errors import InvalidRequest
from core.settings import Settings


def refused(path: object, *dirs: Path) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        resolve_import(str(path), dirs)
    assert caught.value.pointer == "/path"
    return caught.value


def test_files_and_folders_in_an_import_directory(tmp_path: Path) -> None:
    sets, other = tmp_path / "sets", tmp_path / "other"
    (sets / "flowers").mkdir(parents=True)
    other.mkdir()
    (other / "set.zip").write_bytes(b"x")
    for path in (sets, sets / "flowers", other / "set.zip"):
        assert resolve_import(str(path), [sets, other]) == path
    (sets / "newest").symlink_to(sets / "flowers")
    (sets / "shared").symlink_to(other / "set.zip")
    assert resolve_import(f"{sets}/./newest/", [sets]) == sets / "flowers"
    assert resolve_import(f"{sets}/shared", [sets, other]) == other / "set.zip"
    (tmp_path / "mounted").symlink_to(sets)
    assert resolve_import(f"{tmp_path}/mounted/flowers", [tmp_path / "mounted"]) == sets / "flowers"


def test_nothing_outside_is_given_away(tmp_path: Path) -> None:
    """An absent file outside of the directories is refused in the words of one that is there."""
    sets, secret = tmp_path / "sets", tmp_path / "secret"
    sets.mkdir()
    secret.mkdir()
    (secret / "there").write_bytes(b"x")
    (sets / "way-out").symlink_to(secret)
    (sets / "file-out").symlink_to(secret / "there")
    (sets / "nowhere").symlink_to(secret / "absent")
    (tmp_path / "sets2").mkdir()
    for path in ("secret/there", "secret/absent", "sets/way-out/there", "sets/way-out/absent"):
        error = refused(tmp_path / path, sets)
        assert error.code == "path_not_allowed"
        assert error.detail == (
            f"{str(tmp_path / path)!r} is not in, or leads by a link out of, the directories that may be "
            "imported from (the server's setting import_dirs)"
        )
    for path in ("sets/file-out", "sets/nowhere", "sets2", ""):
        assert refused(tmp_path / path, sets).code == "path_not_allowed"


@pytest.mark.parametrize(
    "path",
    ["sets/x", "", ".", "/{sets}/../secret", "/{sets}/a/../b", "{sets}/a\0b", "{sets}/\n", "{sets}/\ud800"],
)
def test_paths_that_are_none(tmp_path: Path, path: str) -> None:
    assert refused(path.format(sets=tmp_path), tmp_path).code == "path_not_allowed"


def test_what_is_there_but_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refused(tmp_path / "pipe", tmp_path).code == "path_not_supported"
    for path in ("absent", "absent/x", "loop", "x" * 300):
        assert refused(tmp_path / path, tmp_path).code == "path_not_found"
    (tmp_path / "closed").mkdir(mode=0)
    if os.geteuid():
        for path in ("closed", "closed/x"):
            assert refused(tmp_path / path, tmp_path).code == "path_not_readable"


def test_without_import_directories(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        assert refused(path).code == "import_disabled"
    assert refused(tmp_path, tmp_path / "absent").code == "path_not_allowed"


def test_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    assert Settings(data_dir=data).import_dirs == []
    monkeypatch.setenv("CONDENSERY_IMPORT_DIRS", '["/srv/sets", "/mnt/x"]')
    assert Settings(data_dir=data).import_dirs == [Path("/srv/sets"), Path("/mnt/x")]
    for wrong, words in (
        ("sets", "absolute"),
        (str(data), "data_dir"),
        (str(data / "uploads"), "data_dir"),
        (str(tmp_path), "data_dir"),
    ):
        with pytest.raises(ValidationError, match=words):
            Settings(data_dir=data, import_dirs=[Path(wrong)])
