"""What can be added to is listed once: everybody else reads that list."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from api.web.rendering import SYMBOLS
from core.data.detect import READERS
from core.engine.networks import NETWORK_NAMES
from core.engine.recipes import RECIPES
from core.export.formats import FORMATS, OFFERED
from core.kinds import KINDS
from core.trials.methods import METHODS
from core.vocabulary import CONDENSED_SET_STATES, DATASET_STATES, JOB_STATES, PRIORITIES

ROOT = Path(__file__).parents[2]
#: Written once and never changed, a migration says what was then; and a test may say what it expects.
ROOMS = ("api", "bench", "condensery", "core", "examples", "worker")
PHASES = tuple({phase.name for kind in KINDS.values() for phase in kind.phases})

#: By what they are called: the names, and the only place that lists them.
LISTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "formats": (OFFERED, "core/export/formats.py"),
    "methods": (tuple(METHODS), "core/trials/methods/__init__.py"),
    "kinds": (tuple(KINDS), "core/kinds/__init__.py"),
    "phases": (PHASES, "core/kinds/"),
    "networks": (NETWORK_NAMES, "core/engine/networks/__init__.py"),
    "recipes": (tuple(RECIPES), "core/engine/recipes/__init__.py"),
    "job states": (JOB_STATES, "core/vocabulary.py"),
    "priorities": (PRIORITIES, "core/vocabulary.py"),
}
#: What is told of each that nobody else has to know; a test holds it against the list.
ALSO = {"job states": ("api/web/rendering.py",)}


def collections_in(code: str) -> Iterator[tuple[int, frozenset[str]]]:
    """The texts in each tuple, list and set, what is between the brackets of Literal among them, the keys of
    each dict, and what is called with texts alone; with their line."""
    for node in ast.walk(ast.parse(code)):
        members: list[ast.expr | None]
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            members = [*node.elts]
        elif isinstance(node, ast.Dict):
            members = [*node.keys]
        elif isinstance(node, ast.Call):
            members = [*node.args]
        else:
            continue
        texts = {one.value for one in members if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        if texts:
            yield getattr(node, "lineno", 0), frozenset(texts)


def lists_of(names: frozenset[str], code: str) -> list[int]:
    """Lines with a collection of most of the names, and of at least three."""
    least = max(3, len(names) // 2 + 1)
    return [line for line, texts in collections_in(code) if len(texts & names) >= least]


@pytest.mark.parametrize("what", LISTS)
def test_there_is_one_list(what: str) -> None:
    names, home = LISTS[what]
    if len(names) < 3:
        pytest.skip("two of them stand side by side by chance")
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for line in lists_of(frozenset(names), path.read_text())
    ]
    allowed = (home, *ALSO.get(what, ()))
    assert [place for place in found if not place.startswith(allowed)] == []


@pytest.mark.parametrize("what", LISTS)
def test_a_second_list_would_be_found(what: str) -> None:
    names, _ = LISTS[what]
    names = (*names, "x", "y")  # of which there may be two alone
    for second in (f"X = {names!r}", f"X = {set(names)!r}", f"X = Literal{list(names)!r}",
                   f"X = {dict.fromkeys(names, 1)!r}"):  # fmt: skip
        assert lists_of(frozenset(names), second) == [1]


def test_no_script_or_template_of_a_page_lists_formats_methods_or_networks() -> None:
    """What pages show by name comes from the API or from the table itself."""
    for path in (ROOT / "api" / "web").rglob("*"):
        if path.suffix not in (".html", ".js") or "uplot" in path.parts:
            continue
        words = set(re.findall(r"""['"]([\w-]+)['"]""", path.read_text()))
        for what in ("formats", "methods", "networks", "recipes"):
            names = set(LISTS[what][0])
            assert len(words & names) <= max(1, len(names) // 2), (path, what)


def test_every_state_has_its_symbol() -> None:
    assert {*DATASET_STATES, *CONDENSED_SET_STATES, *JOB_STATES} - {"receiving"} == SYMBOLS.keys()


def test_each_format_and_method_has_its_file_and_each_file_its_line() -> None:
    methods = {path.stem for path in (ROOT / "core" / "trials" / "methods").glob("[a-z]*.py")}
    assert {one.module.rpartition(".")[2] for one in METHODS.values()} - {"whole"} == methods
    for one in FORMATS:
        assert (ROOT / f"{one.module.replace('.', '/')}.py").exists()
    recipes = {path.stem for path in (ROOT / "core" / "engine" / "recipes").glob("[a-z]*.py")}
    assert recipes - {"recipe"} == {name.replace("-", "_") for name in RECIPES}


def test_each_kind_has_its_folder_its_page_and_its_template() -> None:
    for name in KINDS:
        assert (ROOT / "core" / "kinds" / name / "__init__.py").exists()
        assert (ROOT / "api" / "web" / "kinds" / f"{name}.py").exists()
        assert (ROOT / "api" / "web" / "templates" / "kinds" / f"{name}.html").exists()


def test_every_reader_is_detected() -> None:
    modules = {path.stem for path in (ROOT / "core" / "data" / "readers").glob("[a-z]*.py")}
    assert {reader.__name__.rpartition(".")[2] for reader in READERS} == modules
