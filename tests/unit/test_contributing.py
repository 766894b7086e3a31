"""docs/contributing.md leads to places that there are, and its recipes to every list that must be kept."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from api.schemas.artifacts import ArtifactOut
from condensery.cli import app
from core.data.detect import READERS
from core.engine.config import NETWORK_NORMS
from core.engine.networks import REGISTRY
from core.export.artifacts import EXACT
from core.jobs.spec import JobSpec

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text()
FORMATS = {*(one[0] for one in EXACT), "manifest", "png", "preview"}


def paths() -> set[str]:
    """Every word with a slash in it."""
    found = {one.rstrip("./,;:") for one in re.findall(r"(?<![\w./-])[\w-]+/[\w./-]*", PAGE)}
    return {one for one in found if "NAME" not in one}


def test_paths_are_found() -> None:
    assert {
        "core/jobs/transitions.py",
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


def test_the_recipe_for_a_format_to_write_names_every_list_of_them() -> None:
    """A list that the recipe did not name would fall behind."""
    section = PAGE.split("## A format to write\n")[1].split("\n## ")[0]
    lists = [
        path.relative_to(ROOT).as_posix()
        for room in ("api", "core", "condensery", "worker")
        for path in (ROOT / room).rglob("*.py")
        if {"safetensors", "webdataset", "parquet"} <= {*re.findall(r"\w+", path.read_text().lower())}
    ]
    assert len(lists) >= 5
    assert [path for path in lists if path not in section] == []


def test_the_lists_of_formats_are_whole() -> None:
    assert {*(ArtifactOut.model_fields["format"].examples or [])} == FORMATS
    download = get_command(app).commands["download"]  # type: ignore[attr-defined]
    (option,) = [one for one in download.params if one.name == "formats"]
    assert {*re.findall(r"\w+", option.help)} >= FORMATS


def test_the_lists_of_networks_are_whole() -> None:
    schema = str(JobSpec.model_json_schema())
    assert REGISTRY.keys() == NETWORK_NORMS.keys()
    assert [name for name in REGISTRY if f"'{name}'" not in schema] == []


def test_every_reader_is_detected() -> None:
    modules = {path.stem for path in (ROOT / "core" / "data" / "readers").glob("[a-z]*.py")}
    assert {matches.__module__.rpartition(".")[2] for matches, _ in READERS} == modules
