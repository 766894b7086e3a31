"""The published package alone: condensery/ beside what [project] declares and what that needs; its wheel."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = [Requirement(one) for one in PROJECT["project"]["dependencies"]]
#: Every module of it is imported; what fails says which.
IMPORT_ALL = """
import importlib, pkgutil, sys, condensery
for one in pkgutil.walk_packages(condensery.__path__, "condensery."):
    if one.name not in ("condensery.cli.__main__", "condensery.loader"):  # it runs; it needs the extra, torch
        importlib.import_module(one.name)
print(condensery.__file__, *sorted({"api", "worker", "core", "pydantic", "torch"} & sys.modules.keys()))
"""


def needed(declared: list[Requirement]) -> set[str]:
    """Names of the distributions that are installed with these on this machine."""
    names: set[str] = set()
    waiting = [*declared]
    while waiting:
        one = waiting.pop()
        if (name := canonicalize_name(one.name)) in names:
            continue
        try:
            found = [Requirement(text) for text in distribution(name).requires or []]
        except PackageNotFoundError:  # for another platform
            continue
        names.add(name)
        extras = ["", *one.extras]
        waiting += [
            r for r in found if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras)
        ]
    return names


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages, by links: what the wheel has, and its dependencies."""
    folder = tmp_path_factory.mktemp("site")
    for name in needed(DECLARED):
        files = distribution(name).files
        assert files, f"{name} does not list its files"
        for top in {one.parts[0] for one in files if one.parts[0] not in ("..", "__pycache__")}:
            (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))).resolve())
    for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        (folder / package).symlink_to(ROOT / package)
    return folder


def alone(site: Path, code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Python with this folder and the standard library only."""
    path = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv[0] = 'condensery'\n"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", path + code], cwd=folder, env=environment, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip


def test_every_module_of_it_can_be_imported(site: Path, tmp_path: Path) -> None:
    done = alone(site, IMPORT_ALL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(site / "condensery" / "__init__.py")], "and nothing of the server is"


def test_its_command_works(site: Path, tmp_path: Path) -> None:
    module, _, name = PROJECT["project"]["scripts"]["condensery"].partition(":")
    for words, status, said in (
        (["--help"], 0, "Dataset condensation as a service"),
        (["--server", "http://127.0.0.1:1", "usage"], 1, "cannot reach http://127.0.0.1:1"),
        (["up"], 2, "No such command 'up'"),
    ):
        done = alone(site, f"from {module} import {name}\n{name}({words})", tmp_path)
        assert done.returncode == status, done.stderr
        assert said in done.stdout + done.stderr


def test_loading_says_what_it_needs(site: Path, tmp_path: Path) -> None:
    done = alone(site, "import condensery; condensery.load('condensed.safetensors')", tmp_path)
    assert done.returncode == 1
    assert "No module named" in done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `python -m build` makes it, by the locked build backend."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_client_and_the_licence(wheel: Path) -> None:
    info = f"condensery-{__version__}.dist-info/"
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
        for name in ("LICENSE", "NOTICE"):
            assert files.read(f"{info}licenses/{name}") == (ROOT / name).read_bytes()
        stated = message_from_bytes(files.read(f"{info}METADATA"))
    assert stated["License-Expression"] == "Apache-2.0"
    assert stated["Version"] == __version__
    assert {name.split("/")[0] for name in names} == {"condensery", info.rstrip("/")}
    assert "condensery/py.typed" in names


def test_vendored_code_is_named_in_the_notice() -> None:
    vendored = [path.parent for path in (ROOT / "api" / "web" / "static").rglob("LICENSE*")]
    notice = (ROOT / "NOTICE").read_text()
    assert vendored
    assert [path for path in vendored if path.relative_to(ROOT).as_posix() not in notice] == []
