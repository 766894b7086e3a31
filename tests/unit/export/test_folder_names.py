"""Class names as folders: readable in any script, refused by no file system, never two alike."""

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.export.folder_names import folder_name

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\\.|$)")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("cat", "007_cat"),
        ("two words", "007_two words"),
        ("人工智能", "007_人工智能"),
        ("Übergröße", "007_Übergröße"),
        ("U\u0308ber", "007_Über"),
        ("हिन्दी", "007_हिन्दी"),
        ("猫.jpg", "007_猫.jpg"),
        ("a~b (c) #1", "007_a~b (c) #1"),
        ("a/b\\c", "007_a%2Fb%5Cc"),
        ('<a:b*c?d"e|f>', "007_%3Ca%3Ab%2Ac%3Fd%22e%7Cf%3E"),
        ("50%", "007_50%25"),
        ("a\tb\x7f\u2028", "007_a%09b%7F%E2%80%A8"),
        ("..", "007_%2E%2E"),
        (" .x. ", "007_%20%2Ex%2E%20"),
        ("NUL", "007_NUL"),
        ("", "007_"),
        ("猫" * 100, "007_" + "猫" * 83),
        ("x" * 250 + "é", "007_" + "x" * 250),
        ("x" * 249 + "/", "007_" + "x" * 249),
        ("x" * 249 + ". and so on", "007_" + "x" * 249),
    ],
)
def test_class_names_become_folder_names(name: str, folder: str) -> None:
    assert folder_name(7, name, 200) == folder


@given(TEXT)
def test_no_file_system_refuses_them(name: str) -> None:
    folder = folder_name(7, name, 200)
    assert len(folder.encode()) <= 255
    assert not set('/\\:*?"<>|') & set(folder)
    assert not any(unicodedata.category(character) == "Cc" for character in folder)
    assert folder == folder.strip(". ") and not RESERVED.match(folder)
    if len(folder.encode()) < 240:
        assert unquote(folder.removeprefix("007_")) == unicodedata.normalize("NFC", name)


def test_equal_names_and_cut_ones_stay_apart_and_in_order() -> None:
    names = ["x" * 300, "x" * 301, "X" * 300, "b", "a", *"cdefghi"]
    folders = [folder_name(index, name, len(names)) for index, name in enumerate(names)]
    assert folders == sorted(folders) and len({folder.lower() for folder in folders}) == len(names)


def test_they_can_be_made(tmp_path: Path) -> None:
    for name in ("人" * 200, 'a/b\\c:*?"<>|', "\x00\x1f", "..", "é" * 300):
        (tmp_path / folder_name(3, name, 10)).mkdir()
