"""Every command that the docs name is there, with the options it is shown with, and every line of a block of
commands is known: as executed by a test, or as checked here.

Executed are those of EXECUTED, by tests/e2e/test_readme.py, test_client_doc.py and test_demo.py. Those of
compose are held against its files (with tests/unit/test_deployment.py): to execute them takes Docker.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from condensery.cli import app as command_line
from core.admin.__main__ import app as admin
from core.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
_OPTION = re.compile(r"--?[a-z][a-z-]*")
_COMMAND = re.compile(
    r"(?:^|/|\s)(python -m \S+|python \w\S*\.py|docker compose -?\w|condensery --?\w|condensery \w|make \w).*"
)


#: Pages, or sections of them, whose blocks tests execute as they stand.
EXECUTED = {"api.md": None, "client.md": None, "webhooks.md": None,
            "README.md": ("In one command", "By hand, with curl")}  # fmt: skip
#: The options of compose that are shown; a mistyped one must not be told to anybody.
COMPOSE_OPTIONS = {
    "build": set(), "run": {"--rm"}, "up": {"--detach", "--wait"}, "logs": {"--follow"}, "stop": set(),
    "down": set(),
}  # fmt: skip
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of every block. One that is indented only is the shell's, as are those of `sh`."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    indented = re.findall(r"(?:^|\n\n)((?: {4}(?![-*\d ]).*\n)+)", fence.sub("", text))
    return [*fence.findall(text), *(("sh", re.sub("^ {4}", "", one, flags=re.MULTILINE)) for one in indented)]


def lines_of(text: str) -> list[str]:
    """Those of the shell, without comments."""
    shell = "\n".join(block for language, block in blocks(text) if language == "sh")
    return [line.split(" #")[0].strip() for line in shell.replace("\\\n", " ").splitlines() if line.strip()]


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) for every one in a block or between backticks."""
    for page in PAGES:
        text = page.read_text()
        lines = lines_of(text)
        lines += [" ".join(one.split()) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
        for line in lines:
            for part in re.split(r"\$\(|[|;)]", line.split(" #")[0]):
                if found := _COMMAND.search(part):
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


def check_compose(words: list[str]) -> None:
    while words[0] == "-f":
        assert (ROOT / words[1]).is_file()
        words = words[2:]
    command, *words = words
    if command == "run":
        at = next(at for at, one in enumerate(words) if not one.startswith("-"))
        check(words[at + 1 :])  # in the container
        words = words[: at + 1]
    assert {one for one in words if one.startswith("-")} <= COMPOSE_OPTIONS[command]
    assert {one for one in words if not one.startswith("-")} <= SERVICES.keys()


def not_executed() -> Iterator[tuple[str, str]]:
    """(page, line) of every block that no test executes."""
    for page in PAGES:
        text, sections = page.read_text(), EXECUTED.get(page.name, ())
        if sections is None:
            continue
        for section in sections:
            before, _, rest = text.partition(f"\n## {section}\n")
            text = f"{before}\n## {rest.partition(chr(10) + '## ')[2]}"
        yield from ((page.name, line) for line in lines_of(text))


@pytest.mark.parametrize(("page", "line"), sorted(set(not_executed())), ids=lambda one: one[:60])
def test_every_line_that_is_not_executed_is_checked(page: str, line: str) -> None:
    if found := re.fullmatch(r"(CONDENSERY_\w+)=\S.*", line):
        assert found[1].removeprefix("CONDENSERY_").lower() in Settings.model_fields
    elif found := re.fullmatch(r"cp (\S+) \S+", line):
        assert (ROOT / found[1]).is_file()
    else:
        known = [command for there, command in commands() if there == page]
        assert any(line.endswith(one) or line.startswith(one) for one in known), "nothing looks at this line"


def test_every_block_says_its_language() -> None:
    known = {"sh", "python", "json", "yaml", "nginx", "caddy", "text"}
    found = {(page.name, language) for page in PAGES for language, _ in blocks(page.read_text())}
    assert [one for one in found if one[1] not in known] == []


def test_indented_blocks_are_seen() -> None:
    assert lines_of("Run\n\n    python bench/gpu.py\n\nand\n\n1. a list\n   goes on\n") == [
        "python bench/gpu.py"
    ]


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())), ids=lambda one: one[:60])
def test_every_command_is_there(page: str, line: str) -> None:
    check(shlex.split(line.replace("…", ""), comments=True))


def check(words: list[str]) -> None:
    """Fails if there is no such command."""
    program, *words = words
    if program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "condensery":
        resolve(get_command(command_line), words)
    elif program == "docker":
        check_compose(words[1:])
    elif words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file()
    else:
        module = words[1]
        assert importlib.util.find_spec(module), module
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
