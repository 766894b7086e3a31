"""Each reader says its name and what it accepts once; the rest is derived from the one table of them."""

import re
from pathlib import Path

from core.data.detect import READERS
from core.data.readers import npz
from tests.unit.data.builders import refused

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()


def test_names_are_different_and_in_the_table_of_layouts() -> None:
    names = [reader.NAME for reader in READERS]
    assert len(set(names)) == len(names)
    table = PAGE.split("## Layouts")[1].split("\n\n")[2]
    first_cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    told = [name for cell in first_cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert sorted(told) == sorted([*names, npz.LOOSE_NAME])


def test_a_refusal_names_all_that_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"text " * 200)
    error = refused(tmp_path / "upload")
    assert error.code == "unrecognised_format"
    assert error.context["seen"] == "text"
    assert sorted(error.context["supported"]) == sorted(reader.ACCEPTS for reader in READERS)
    assert all(reader.ACCEPTS in error.detail for reader in READERS)
