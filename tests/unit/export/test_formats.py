"""The one list of formats: read without heavy libraries, and what is said of formats derives from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from api.schemas.artifacts import ArtifactOut
from core.export.formats import CANONICAL, FORMATS, NAMES, OFFERED, Format
from core.export.writer import Writer, writer_of

ROOT = Path(__file__).parents[3]


def test_the_list_is_read_without_the_libraries_that_write() -> None:
    heavy = ["torch", "numpy", "PIL", "pyarrow", "safetensors"]
    code = f"import sys, core.export.formats; print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_every_format_has_its_writer(format: Format) -> None:
    writer = writer_of(format)
    assert isinstance(writer, Writer)
    # Whatever is exact holds normalised pixels, and the card says where.
    assert (writer.read is None) == (writer.normalised is None)


def test_names_and_files_are_each_once() -> None:
    assert len({*NAMES}) == len({one.file_name for one in FORMATS}) == len(FORMATS)
    assert CANONICAL.name == "safetensors" and writer_of(CANONICAL).read is not None


def test_the_api_names_them_all() -> None:
    schema = ArtifactOut.model_json_schema()["properties"]["format"]
    assert schema["enum"] == [*OFFERED]


def test_the_table_of_the_docs_is_the_list() -> None:
    rows = [f"| `{one.name}` | `{one.file_name}` | {one.read_by} |" for one in FORMATS]
    table = "\n".join(["| format | file | read by |", "|---|---|---|", *rows, ""])
    assert table in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
