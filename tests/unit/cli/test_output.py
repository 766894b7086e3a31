"""What people are told: numbers with their nouns, and commands that can be typed again."""

import os
import sys
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from condensery.cli import app
from condensery.cli.output import command, command_on, counted, duration, same_command


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2, ("image",), "2 images"),
        (1, ("class", "classes"), "1 class"),
        (2, ("class", "classes"), "2 classes"),
    ],
)
def test_one_is_singular(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 seconds"), (1.2, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (5000, "83 minutes"),
        (5400, "1.5 hours"), (172_800, "2 days"),
    ],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `condensery` that the PATH does not lead to, but to another."""
    for name in (".venv", "elsewhere"):
        path = tmp_path / name / "bin" / "condensery"
        path.parent.mkdir(parents=True)
        path.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere" / "bin"), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".venv" / "bin" / "condensery"


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (".venv/bin/condensery", ".venv/bin/condensery"),
        ("elsewhere/bin/condensery", "elsewhere/bin/condensery"),
        ("{folder}/.venv/bin/condensery", "{folder}/.venv/bin/condensery"),
        ("{folder}/elsewhere/bin/condensery", "condensery"),  # what a shell that found it by its name calls
        ("condensery", "condensery"),
        ("{folder}/site-packages/condensery/cli/__main__.py", "condensery"),
    ],
)
def test_a_command_is_printed_as_the_program_was_called(
    typed: str, printed: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, printed = (one.format(folder=tmp_path) for one in (typed, printed))
    monkeypatch.setattr(sys, "argv", [typed, "submit", "my set.zip", "--ipc", "1"])
    assert command("cancel", "job_1") == f"{printed} cancel job_1"
    assert same_command() == f"{printed} submit 'my set.zip' --ipc 1"


@pytest.mark.parametrize("option", [["--server", "http://a:1"], ["--server=http://a:1"]])
def test_a_command_is_for_the_same_server(option: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["condensery", *option, "submit", "set.zip"])
    assert command("cancel", "job_1") == f"condensery {' '.join(option)} cancel job_1"
    assert same_command() == f"condensery {' '.join(option)} submit set.zip"


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("digits --ipc 1", "ds_1 --ipc 1"),
        ("--name digits digits --ipc 1", "--name digits ds_1 --ipc 1"),
        ("digits --ipc 1 --name digits", "ds_1 --ipc 1 --name digits"),
        ("-odigits --name=digits --no-wait --output digits --ipc 1 -- digits",
         "-odigits --name=digits --no-wait --output digits --ipc 1 -- ds_1"),
        ("--format npz --ipc 1 digits", "--format npz --ipc 1 ds_1"),
    ],
)  # fmt: skip
def test_the_argument_is_replaced_not_the_value_of_an_option(
    typed: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["condensery", "--server", "http://a:1", "submit", *typed.split()])
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = group.commands["submit"].make_context("submit", typed.split())
    assert (
        command_on(cast(typer.Context, context), "ds_1") == f"condensery --server http://a:1 submit {printed}"
    )
