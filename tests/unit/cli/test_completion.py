"""What `condensery --install-completion` teaches a shell: it asks the program, as here, what may follow."""

import os
import subprocess
import sys

import pytest

from tests.support.service import ROOT


def completed(*words: str) -> list[str]:
    """What bash is offered in the place of the last word."""
    asked = {"_CONDENSERY_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("condensery", *words))}
    done = subprocess.run(
        [sys.executable, "-m", "condensery.cli"], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | asked | {"COMP_CWORD": str(len(words))}, timeout=60,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("sub",), {"submit"}),
        (("",), {"submit", "follow", "jobs", "datasets", "keys", "download", "up"}),
        (("datasets", ""), {"add", "list", "show", "delete"}),
        (("submit", "set.zip", "--i"), {"--ipc", "--iterations", "--image-size"}),
        (("keys", "create", "mine", "--sc"), {"--scope"}),
    ],
)
def test_commands_and_options_are_completed(typed: tuple[str, ...], offered: set[str]) -> None:
    found = completed(*typed)
    assert offered <= {*found}
    assert all(one.startswith(typed[-1]) for one in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_asks_the_program_so(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "condensery.cli"], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"_CONDENSERY_COMPLETE": f"source_{shell}"}, timeout=60,
    )  # fmt: skip
    assert f"_CONDENSERY_COMPLETE=complete_{shell}" in done.stdout
    assert "condensery" in done.stdout
