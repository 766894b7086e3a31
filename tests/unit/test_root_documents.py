"""CITATION.cff, CHANGELOG.md, the glossary and the decisions say what the code says."""

import re
from pathlib import Path

import pytest
import yaml

from core.export.manifest import SCHEMA

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
CODE = [
    path
    for room in ("core", "api", "worker")
    for path in sorted((ROOT / room).rglob("*"))
    if path.suffix in (".py", ".c", ".h")
]
#: Pages that point into the code.
POINTING = [ROOT / "docs" / "glossary.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def cited(text: str) -> set[str]:
    """Numbers of arXiv."""
    return set(re.findall(r"arxiv[ .:]+(\d{4}\.\d{4,5})", text, re.IGNORECASE))


def test_every_paper_that_the_code_names_is_cited_and_no_other() -> None:
    named = set().union(*(cited(path.read_text()) for path in CODE))
    assert {"2110.04181", "2102.08259"} <= named
    assert cited((ROOT / "CITATION.cff").read_text()) == named


def test_the_citation_is_of_the_licence_and_states_no_version() -> None:
    """There is one place for the version, and it is not this."""
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["license"] == "Apache-2.0"
    assert "version" not in CITATION


def test_the_changelog_names_the_form_of_the_manifest() -> None:
    assert f"`{SCHEMA}`" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", POINTING, ids=lambda path: path.name)
def test_every_file_that_a_page_points_to_is_there(page: Path) -> None:
    rooms = "api|bench|condensery|core|docs|migrations|tests|worker"
    paths = re.findall(rf"`((?:{rooms})/[\w./-]*)`", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    pages = [path.name for path in POINTING if path.name[:4].isdecimal()]
    assert len(pages) >= 7
    assert [name for name in pages if f"({name})" not in listed] == []
