"""Every command that the docs name is there, with the options it is shown with.

Blocks of commands are executed, too: by tests/e2e/test_readme.py and test_client_doc.py.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from condensery.cli import app as command_line
from core.admin.__main__ import app as admin

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
_OPTION = re.compile(r"--?[a-z][a-z-]*")


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) for every one in a block or between backticks."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        lines += [" ".join(one.split()) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
        for line in lines:
            for part in re.split(r"\$\(|[|;)]", line.split(" #")[0]):
                if found := re.search(
                    r"(?:^|/|\s)(python -m \S+|condensery --?\w|condensery \w|make \w).*", part
                ):
                    yield page.name, found[0].strip(" /.")


def resolve(group: Any, words: list[str]) -> None:
    """Fails on a command or an option that there is not; what is given to them is not looked at."""
    known = {"--help", "--install-completion"}
    while isinstance(group, TyperGroup):
        known |= {option for one in group.params for option in one.opts}
        names = [at for at, word in enumerate(words) if word in group.commands]
        if not names:
            break
        assert not [one for one in words[: names[0]] if _OPTION.fullmatch(one) and one not in known], words
        group, words = group.commands[words[names[0]]], words[names[0] + 1 :]
    known |= {option for one in group.params for option in (*one.opts, *one.secondary_opts)}
    options = [one.split("=")[0] for one in words if _OPTION.match(one)]
    assert set(options) <= known, f"{group.name} has no {set(options) - known}"
    assert not isinstance(group, TyperGroup) or not words or words[0] in (*options, "URL", "COMMAND"), words


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())), ids=lambda one: one[:60])
def test_every_command_is_there(page: str, line: str) -> None:
    program, *words = shlex.split(line.replace("…", ""), comments=True)
    if program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "condensery":
        resolve(get_command(command_line), words)
    else:
        module = words[1]
        assert importlib.util.find_spec(module), page
        if module == "core.admin":
            resolve(get_command(admin), words[2:])


def test_every_admin_command_of_the_table_is_there() -> None:
    table = OPERATIONS.split("| command | does |")[1].split("\n\n")[0]
    found = [one for row in table.splitlines() for one in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert len(found) >= 7
    for one in found:
        words = one.replace("\\|", "|").translate(str.maketrans("", "", "[]")).split()
        for name in words[1].split("|") if len(words) > 1 and "|" in words[1] else [None]:
            resolve(get_command(admin), words if name is None else [words[0], name])
